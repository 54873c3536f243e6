/** What the chart renders for a try-out, run for real: nats-server on its ConfigMap, Jobs and services as processes with their pods' environment. */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../../dev/free-ports.ts";
import { findNatsServer } from "../../dev/nats-server.ts";
import { generateKeys } from "../../streams-config/keys.ts";
import { keysSecret } from "../../streams-config/keys-manifest.ts";
import { CHART, type Container, findHelm, type Manifest, pick, podsOf, render } from "../support/helm.ts";
import { type FreshDatabase, freshDatabase } from "../support/postgres.ts";
import { answers, createProcesses, type Ended } from "../support/processes.ts";
import { until } from "../support/until.ts";

const SERVICES = ["bridge", "authcallout", "proxy"] as const;

describe("a try-out as the chart renders it", () => {
  let dir: string;
  let database: FreshDatabase;
  let manifests: Manifest[];
  /** What stands for an address of the cluster on this machine. */
  let here: [there: string, here: string][];
  let ports: Record<"nats" | "websocket" | "monitor" | "proxy" | (typeof SERVICES)[number], number>;
  let secrets: Record<string, Readonly<Record<string, string>>>;
  const processes = createProcesses();

  before(async function () {
    this.timeout(180_000);
    dir = mkdtempSync(join(tmpdir(), "arvados-nats-chart-"));
    [database] = await Promise.all([freshDatabase(), findHelm(), findNatsServer()]);
    const { host, port, user, password, database: dbname } = database.config;
    const postgres = { host, port, dbname, user, sslmode: "disable" };
    const values = {
      settings: { postgres },
      secrets: { postgres: { existingSecret: "db" } },
      setupDb: { enabled: true },
      tests: { eventSeconds: 20 },
    };
    writeFileSync(join(dir, "values.json"), JSON.stringify(values));
    manifests = await render("-f", join(CHART, "ci", "tryout-values.yaml"), "-f", join(dir, "values.json"));
    const [nats, websocket, monitor, http, bridge, authcallout, proxy] = await freePorts(7);
    ports = { nats, websocket, monitor, proxy, bridge, authcallout } as typeof ports;
    here = [
      ["demo-arvados-nats-nats:4222", `127.0.0.1:${nats}`],
      ["demo-arvados-nats-nats:8080", `127.0.0.1:${websocket}`],
      ["demo-arvados-nats-proxy:80", `127.0.0.1:${http}`],
      [":8470", `127.0.0.1:${http}`],
      [":8471", `127.0.0.1:${bridge}`],
      [":8472", `127.0.0.1:${authcallout}`],
      [":8473", `127.0.0.1:${proxy}`],
    ];
    secrets = {
      "demo-arvados-nats-keys": keysSecret(generateKeys(), { name: "k" }).stringData,
      arvados: { systemRootToken: "root".repeat(12) },
      db: { password },
    };
  });
  after(async () => {
    await processes.end();
    await database?.drop();
    rmSync(dir, { recursive: true, force: true });
  });

  const localized = (text: string) =>
    here.reduce((result, [there, local]) => (result.endsWith(there) ? result.replace(there, local) : result), text);

  /** As the kubelet would fill it. */
  function environmentOf({ env = [] }: Container): Record<string, string> {
    const entries = env.flatMap(({ name, value, valueFrom }): [string, string][] => {
      const ref = valueFrom?.secretKeyRef;
      if (!ref) return [[name, localized(value ?? "")]];
      const found = secrets[ref.name]?.[ref.key];
      assert.ok(found !== undefined || ref.optional, `${name}: Secret ${ref.name} has no ${ref.key}`);
      return found === undefined ? [] : [[name, found]];
    });
    return Object.fromEntries(entries);
  }

  function containerOf(manifest: Manifest): Container {
    const container = podsOf([manifest])[0]?.pod.containers[0];
    assert.ok(container, manifest.metadata.name);
    return container;
  }

  function startOurs(manifest: Manifest): { ended: Promise<Ended> } {
    const container = containerOf(manifest);
    const args = (container.args ?? []).map(localized);
    return processes.cli(args, environmentOf(container));
  }

  it("starts nats-server on the ConfigMap and the pod's environment", async () => {
    const container = containerOf(pick(manifests, "StatefulSet"));
    let conf = pick(manifests, "ConfigMap", "-nats").data?.["nats.conf"] ?? "";
    const surroundings: [string, string][] = [
      ["port: 4222", `port: ${ports.nats}`],
      ["port: 8080", `port: ${ports.websocket}`],
      ['"0.0.0.0:8222"', `"127.0.0.1:${ports.monitor}"`],
      ['"/data"', JSON.stringify(join(dir, "data"))],
      ['"/tmp/nats.pid"', JSON.stringify(join(dir, "nats.pid"))],
      ['host: "0.0.0.0"', 'host: "127.0.0.1"'],
    ];
    for (const [there, local] of surroundings) {
      assert.ok(conf.includes(there), there);
      conf = conf.replaceAll(there, local);
    }
    mkdirSync(join(dir, "data"));
    writeFileSync(join(dir, "nats.conf"), conf);
    const { path } = await findNatsServer();
    const { ended } = processes.start(path, ["-c", join(dir, "nats.conf")], environmentOf(container));
    const { httpGet } = container.readinessProbe as { httpGet: { path: string } };
    await Promise.race([
      until(() => answers(`http://127.0.0.1:${ports.monitor}${httpGet.path}`), "nats-server's readiness", 10_000),
      ended.then(({ text }) => assert.fail(text)),
    ]);
  });

  it("runs the Jobs", async () => {
    const jobs = [pick(manifests, "Job", "-setup-db"), pick(manifests, "Job", "-streams-1")];
    const [setupDb, streams] = await Promise.all(jobs.map((job) => startOurs(job).ended));
    assert.equal(setupDb?.code, 0, setupDb?.text);
    assert.match(setupDb?.text ?? "", /made replication slot arvados_nats/);
    assert.equal(streams?.code, 0, streams?.text);
  });

  /** Projects of root's, until something has ended. A database in which nobody writes lets the bridge wait for its first beat. */
  async function write(ended: Promise<unknown>): Promise<void> {
    let over = false;
    void ended.finally(() => {
      over = true;
    });
    for (let turn = 0; !over; turn++) {
      await database.simulator.createProject({ name: `project ${turn}`, owner: "zzzzz-tpzed-000000000000000" });
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 100))]);
    }
  }

  it("brings every service to the readiness that its probe asks for", async () => {
    const ready = Promise.all(
      SERVICES.map(async (service) => {
        const deployment = pick(manifests, "Deployment", `-${service}`);
        const { ended } = startOurs(deployment);
        const path = containerOf(deployment).readinessProbe?.httpGet.path;
        await Promise.race([
          until(() => answers(`http://127.0.0.1:${ports[service]}${path}`), `${service}'s readiness`, 30_000),
          ended.then(({ text }) => assert.fail(`${service}: ${text}`)),
        ]);
      }),
    );
    await Promise.all([ready, write(ready)]);
  });

  it("passes helm test: a login, who one is, and an event", async () => {
    const { ended } = startOurs(pick(manifests, "Pod", "-test"));
    await write(ended);
    const { code, text } = await ended;
    assert.equal(code, 0, text);
    assert.match(text, /^gateway: zzzzz-tpzed-0{15}, /m);
    assert.match(text, /^event: create of zzzzz-j7d0g-/m);
    assert.ok(!text.includes(secrets.arvados?.systemRootToken ?? "?"));
  });

  it("fails helm test where nothing happens, and where there is no proxy, and says so", async () => {
    const container = containerOf(pick(manifests, "Pod", "-test"));
    const url = localized(container.args?.[2] ?? "");
    const probe = (at: string) =>
      processes.cli(["probe", "--url", at, "--event-seconds", "1"], environmentOf(container)).ended;
    const [quiet, nobody] = await Promise.all([probe(url), probe("http://127.0.0.1:1")]);
    assert.deepEqual([quiet.code, nobody.code], [2, 2]);
    assert.match(quiet.text, /fails: no event within 1 s\n.*the bridge is ready/);
    assert.match(nobody.text, /^arvados-nats: the probe of http:\/\/127\.0\.0\.1:1 fails: .*\n.*the proxy runs/);
  });

  it("fails helm test for a token that nobody knows", async () => {
    secrets = { ...secrets, arvados: { systemRootToken: "unknown".repeat(8) } };
    const { code, text } = await startOurs(pick(manifests, "Pod", "-test")).ended;
    assert.equal(code, 2, text);
    assert.match(text, /fails: the token is refused\n.*authcallout's log says why/);
  });
});
