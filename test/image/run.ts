/**
 * The image, built for real from the Dockerfile: `npm run test:image` (as root on Debian; installs buildah, debootstrap and runc where they are
 * missing). Then its services run from it beside a whole installation: without root, on a read-only root, with the packages of production only.
 */

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../../dev/servers/free-ports.ts";
import { type Stack, startStack } from "../../dev/stack.ts";
import { until } from "../../dev/testing/until.ts";
import { type Config, valueAt } from "../../runtime/config/config.ts";
import { formatSetting, type SettingValue } from "../../runtime/config/setting.ts";
import { allSettings } from "../../runtime/config/table.ts";
import { silentLog } from "../../runtime/log/log.ts";
import { createScope } from "../../runtime/scope.ts";
import { SERVICE_VERSION } from "../../runtime/version.ts";
import { answers, createProcesses } from "../support/servers/processes.ts";
import { runStep } from "../support/servers/steps.ts";
import { buildah, installTools, makeBase, ROOT } from "./buildah.ts";
import { type ContainerMaker, type ImageConfig, processPrivileges, startContainer } from "./container.ts";

const NAME = "localhost/arvados-nats:test";
const REVISION = "abcdef0";
const SERVICES = ["bridge", "authcallout", "proxy"] as const;

const dir = mkdtempSync(join(tmpdir(), "arvados-nats-image-"));
const scope = createScope();
try {
  await runStep("buildah, debootstrap, runc", installTools);
  await runStep("a base with node and npm", makeBase);
  await runStep("the Dockerfile", () =>
    buildah("bud", "--isolation", "chroot", "--pull=never", "--build-arg", `REVISION=${REVISION}`, "--tag", NAME, "."),
  );
  const maker = await runStep("its container", mounted);
  await runStep("labels, user and entrypoint", () => checkImage(maker.image));
  await runStep("packages of production only", () => checkPackages(maker.rootfs));
  await runStep("--version", async () => {
    const { code, text } = await startContainer(maker, ["--version"]).ended;
    assert.deepEqual([code, text.trim()], [0, SERVICE_VERSION]);
  });
  await runStep("nothing can be written, not even by a program that tries", () => checkReadOnly(maker));
  const stack = await runStep("PostgreSQL, nats-server and services beside it", () =>
    startStack({ scope, log: silentLog() }),
  );
  await checkServices(maker, stack);
} finally {
  await scope.close();
  // What the image of an earlier run was made of.
  await buildah("rmi", "--prune", "--force");
  rmSync(dir, { recursive: true, force: true });
}

async function mounted(): Promise<ContainerMaker> {
  const container = await buildah("from", "--pull-never", NAME);
  scope.defer("the container", async () => {
    await buildah("rm", container);
  });
  const { OCIv1 } = JSON.parse(await buildah("inspect", "--type", "image", NAME)) as {
    OCIv1: { config: ImageConfig };
  };
  const rootfs = await buildah("mount", container);
  return { dir, rootfs, image: OCIv1.config, processes: scope.use("programs", createProcesses(), (it) => it.end()) };
}

function checkImage({ Labels, User, Entrypoint, Env }: ImageConfig): void {
  const label = (name: string) => Labels[`org.opencontainers.image.${name}`];
  assert.deepEqual(
    [label("title"), label("version"), label("revision"), label("licenses")],
    ["arvados-nats", SERVICE_VERSION, REVISION, "Apache-2.0"],
  );
  assert.equal(User, "10001:10001");
  assert.deepEqual(Entrypoint, ["node", "/app/bin/arvados-nats.js"]);
  assert.ok(Env.includes("NODE_ENV=production"));
}

/** Those that the lock file does not mark as needed for development alone. */
function checkPackages(rootfs: string): void {
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean; optional?: boolean }>;
  };
  const modules = join(rootfs, "app/node_modules");
  const there = readdirSync(modules)
    .filter((name) => !name.startsWith("."))
    .flatMap((name) =>
      name.startsWith("@") ? readdirSync(join(modules, name)).map((part) => `${name}/${part}`) : name,
    );
  const development = there.filter((name) => lock.packages[`node_modules/${name}`]?.dev !== undefined);
  assert.deepEqual(development, []);
  const wanted = Object.keys(
    (JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { dependencies: object }).dependencies,
  );
  assert.deepEqual(
    wanted.filter((name) => !there.includes(name)),
    [],
  );
  assert.deepEqual(readdirSync(join(rootfs, "app")).sort(), ["bin", "dist", "node_modules", "package.json"]);
}

async function checkReadOnly(maker: ContainerMaker): Promise<void> {
  const program = `for (const file of ["/app/x", "/tmp/x", "/x"]) try { require("fs").writeFileSync(file, "") } catch (e) { console.log(e.code) }`;
  const { text } = await startContainer(maker, ["-e", program], {}, ["node"]).ended;
  assert.deepEqual(text.trim().split("\n"), ["EROFS", "EROFS", "EROFS"]);
}

async function checkServices(maker: ContainerMaker, stack: Stack): Promise<void> {
  const [bridge, authcallout, proxy, http] = (await freePorts(4)) as [number, number, number, number];
  const ports = { bridge, authcallout, proxy };
  const env = {
    ...environmentOf(stack.config),
    ARVADOS_NATS_LISTEN: `127.0.0.1:${http}`,
    ...Object.fromEntries(
      SERVICES.map((name) => [`ARVADOS_NATS_ADMIN_${name.toUpperCase()}`, `127.0.0.1:${ports[name]}`]),
    ),
  };
  const containers = SERVICES.map((service) => ({ service, container: startContainer(maker, [service], env) }));
  for (const { service, container } of containers) {
    // A second bridge waits for the first one's slot.
    const path = service === "bridge" ? "/livez" : "/readyz";
    await runStep(`${service}: ${path}`, () =>
      Promise.race([
        until(() => answers(`http://127.0.0.1:${ports[service]}${path}`), path),
        container.ended.then(({ text }) => assert.fail(text)),
      ]),
    );
    await runStep(`${service}: not root, no capability, a read-only root`, async () => {
      assert.deepEqual(await processPrivileges(await container.pid()), {
        uid: "10001",
        gid: "10001",
        caps: "0000000000000000",
        noNewPrivs: "1",
        root: "ro",
      });
    });
  }
  await runStep("a login through the image's proxy, by the image's own probe", async () => {
    const token = { ARVADOS_API_TOKEN: stack.cluster.users.admin.token.v2 };
    const { code, text } = await startContainer(maker, ["probe", "--url", `http://127.0.0.1:${http}`], token).ended;
    assert.equal(code, 0, text);
    assert.match(text, /^gateway: zzzzz-tpzed-/m);
  });
  for (const { service, container } of containers)
    await runStep(`${service}: SIGTERM ends it in order`, async () => {
      await container.signal("SIGTERM");
      const { code, text } = await container.ended;
      // 128 + SIGTERM: what a parent expects of a process that ended by it, after everything was released.
      assert.equal(code, 143, text);
    });
}

/** The installation's settings as a container gets them. */
function environmentOf(config: Config): Record<string, string> {
  return Object.fromEntries(
    allSettings().flatMap(({ setting, path }) => {
      const value = valueAt(config, path) as SettingValue;
      const text = setting.secret ? String(value ?? "") : formatSetting(setting, value);
      return text === "" ? [] : [[setting.env, text]];
    }),
  );
}
