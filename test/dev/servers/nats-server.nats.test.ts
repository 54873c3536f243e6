import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "@nats-io/transport-node";
import { Fault } from "../../../core/errors.ts";
import { isNewEnough } from "../../../core/nats-version.ts";
import { parseVersion } from "../../../dev/servers/nats-binary.ts";
import { findNatsServer, startNatsServer } from "../../../dev/servers/nats-server.ts";
import { until } from "../../../dev/testing/until.ts";
import { generateKeys, publicKeys } from "../../../streams-config/keys.ts";
import { messageCount, startNats } from "../../support/servers/nats.ts";

/** An executable shell script. */
async function script(dir: string, name: string, ...lines: string[]): Promise<string> {
  await mkdir(dir, { recursive: true });
  const path = join(dir, name);
  await writeFile(path, `#!/bin/sh\n${lines.join("\n")}\n`);
  await chmod(path, 0o755);
  return path;
}

function isFault(code: string, says: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof Fault && error.code === code && says.test(error.message) && error.remedy !== "";
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe("the version of nats-server", () => {
  it("is read from what it prints", () => {
    assert.equal(parseVersion("nats-server: v2.15.2\n"), "2.15.2");
    assert.equal(parseVersion("nats-server: v2.15.0-RC.1\n"), "2.15.0-RC.1");
    for (const other of ["", "nginx version: 1.2.3", "nats-server: v2"]) assert.equal(parseVersion(other), null);
  });

  it("must be 2.14.6 or newer, in 2.15 2.15.2 or newer, and a pre-release of these is older", () => {
    for (const version of ["2.14.6", "2.14.10", "2.15.2", "2.15.10", "2.15.3-RC.1", "2.16.0-RC.1", "3.0.0"]) {
      assert.equal(isNewEnough(version), true, version);
    }
    for (const version of [
      "2.14.5",
      "2.14.6-RC.1",
      "2.15.0",
      "2.15.1",
      "2.15.2-RC.1",
      "2.9.10",
      "2.10.27",
      "1.99.99",
    ]) {
      assert.equal(isNewEnough(version), false, version);
    }
  });
});

describe("finding nats-server", () => {
  let dir: string;
  let said: string[];
  const log = (line: string) => void said.push(line);
  /** Finds with nothing on PATH but what the test puts there. */
  const find = (env: NodeJS.ProcessEnv = {}) =>
    findNatsServer({ env: { PATH: join(dir, "bin"), ...env }, cacheDir: join(dir, "cache"), log });
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "arvados-nats-find-"));
    said = [];
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  /** A `go` that takes its time and writes a nats-server that prints a version. */
  const fakeGo = () =>
    script(
      join(dir, "bin"),
      "go",
      `echo built >> ${join(dir, "builds")}`,
      'while [ "$1" != -o ]; do shift; done',
      // In two parts: whoever took it for finished in between would see a program that does not run.
      'printf "#!/bin/sh\\n" > "$2"; /bin/sleep 0.1; printf "echo nats-server: v2.15.2\\n" >> "$2"; /bin/chmod 755 "$2"',
    );

  it("takes the one that $NATS_SERVER names", async () => {
    const path = await script(dir, "mine", "echo nats-server: v2.14.6");
    assert.deepEqual(await find({ NATS_SERVER: path }), { path, version: "2.14.6", origin: "NATS_SERVER" });
  });

  it("refuses the one that $NATS_SERVER names when it is too old, by its version", async () => {
    const path = await script(dir, "mine", "echo nats-server: v2.9.10");
    await assert.rejects(
      find({ NATS_SERVER: path }),
      isFault("nats.too_old", /2\.9\.10.*2\.14\.6.*skip the auth callout.*lose acknowledged/),
    );
  });

  it("refuses the one that $NATS_SERVER names when it cannot be run or is something else", async () => {
    const other = await script(dir, "other", "echo hello");
    for (const NATS_SERVER of [join(dir, "missing"), dir, other]) {
      await assert.rejects(find({ NATS_SERVER }), isFault("nats.not_found", /NATS_SERVER names/));
    }
  });

  it("takes the one on PATH when it is new enough", async () => {
    const path = await script(join(dir, "bin"), "nats-server", "echo nats-server: v2.15.3");
    assert.deepEqual(await find(), { path, version: "2.15.3", origin: "PATH" });
  });

  it("skips one on PATH that is too old or does not run, reports it, and builds one", async () => {
    await fakeGo();
    const old = await script(join(dir, "bin"), "nats-server", "echo nats-server: v2.9.10");
    assert.equal((await find()).origin, "built");
    assert.ok(said.some((line) => line.includes(old) && line.includes("2.9.10")));
    await script(join(dir, "bin"), "nats-server", "exit 1");
    assert.equal((await find()).origin, "built");
    assert.ok(said.some((line) => line.includes("does not run")));
  });

  it("builds once, reports it, and uses the built one the next time", async () => {
    await fakeGo();
    const built = await find();
    assert.deepEqual([built.origin, built.version], ["built", "2.15.2"]);
    assert.match(said[0] ?? "", /^building nats-server 2\.15\.2/);
    said = [];
    assert.deepEqual(await find(), built);
    assert.deepEqual(said, []);
    assert.equal(await readFile(join(dir, "builds"), "utf8"), "built\n");
  });

  it("allows two builds at once, and leaves nothing else behind", async () => {
    await fakeGo();
    const [one, two] = await Promise.all([find(), find()]);
    assert.deepEqual(one, two);
    assert.deepEqual(await readdir(join(dir, "cache")), ["nats-server-v2.15.2"]);
  });

  it("names what is missing when there is neither nats-server nor Go, or the build fails", async () => {
    await assert.rejects(find(), isFault("nats.not_found", /no `go` on PATH/));
    await script(join(dir, "bin"), "go", "echo 'go.mod requires go >= 1.26.0 (running go 1.19)' >&2", "exit 1");
    await assert.rejects(find(), isFault("nats.not_found", /requires go >= 1\.26\.0/));
    assert.deepEqual(await readdir(join(dir, "cache")), []);
  });
});

describe("a nats-server that was started", () => {
  const conf = { clusterId: "zzzzz", keys: publicKeys(generateKeys()) };

  it("reports where it listens, and keeps its ports and streams over a restart and over kill -9", async () => {
    await using nats = await startNats();
    const { server } = nats;
    const { url, websocketUrl, pid } = server;
    assert.match(url, /^nats:\/\/127\.0\.0\.1:\d+$/);
    assert.match(websocketUrl, /^ws:\/\/127\.0\.0\.1:\d+$/);
    await (await nats.connect("bridge", "STORE")).request("arvados.zzzzz.queue.a", "{}");
    await server.restart();
    assert.equal(await messageCount(await nats.connect("bridge", "STORE"), "QUEUE"), 1);
    await server.kill9();
    assert.equal(isAlive(pid), false);
    await server.restart();
    assert.deepEqual([server.url, server.websocketUrl], [url, websocketUrl]);
    assert.notEqual(server.pid, pid);
    assert.equal(await messageCount(await nats.connect("bridge", "STORE"), "QUEUE"), 1);
    assert.equal(server.logs().match(/Server is ready/g)?.length, 3);
  });

  it("leaves neither process nor file when it is stopped", async () => {
    const server = await startNatsServer({ conf });
    const { pid, dir } = server;
    await server.stop();
    assert.equal(isAlive(pid), false);
    await assert.rejects(stat(dir), { code: "ENOENT" });
    await server.stop();
  });

  it("keeps a folder that was given, whatever its name", async () => {
    const parent = await mkdtemp(join(tmpdir(), "arvados-nats-dir-"));
    try {
      const dir = join(parent, 'q"uote $HOME \\ é #1');
      const server = await startNatsServer({ conf, dir });
      await server.stop();
      assert.ok((await readdir(dir)).includes("nats-server.conf"));
      assert.equal((await stat(join(dir, "nats-server.conf"))).mode & 0o077, 0);
    } finally {
      await rm(parent, { recursive: true, force: true });
    }
  });

  it("offers monitoring where it is asked to", async () => {
    await using server = await startNatsServer({ conf: { ...conf, ports: { monitor: -1 } } });
    const healthy = await fetch(`${server.monitorUrl}/healthz`);
    assert.equal(healthy.status, 200);
  });

  it("refuses unknown users: no callout answers", async () => {
    await using server = await startNatsServer({ conf: { ...conf, limits: { authTimeout: 0.2 } } });
    const attempt = connect({ servers: server.url, token: "any", reconnect: false });
    await assert.rejects(attempt, /authorization violation/i);
  });

  it("names an occupied port, and leaves no process", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const address = taken.address();
    const port = typeof address === "object" && address ? address.port : 0;
    try {
      for (const ports of [{ client: port }, { websocket: port }, { monitor: port }]) {
        await assert.rejects(
          startNatsServer({ conf: { ...conf, ports } }),
          isFault("port.occupied", new RegExp(`127\\.0\\.0\\.1:${port}`)),
          JSON.stringify(ports),
        );
      }
    } finally {
      taken.close();
    }
  });

  it("reports the server's own reason when it did not start", async () => {
    const attempt = startNatsServer({ conf: { ...conf, limits: { syncInterval: "soon" } } });
    await assert.rejects(attempt, isFault("nats.unreachable", /ended with code 1: .*sync_interval/));
  });

  it("reports an unexpected end", async () => {
    let ended: string | undefined;
    await using server = await startNatsServer({
      conf,
      onUnexpectedExit: (reason) => {
        ended = reason;
      },
    });
    process.kill(server.pid, "SIGKILL");
    assert.match(await until(() => ended, "the unexpected end"), /by SIGKILL/);
    ended = undefined;
    await server.restart();
    await server.stop();
    assert.equal(ended, undefined);
  });

  it("does not outlive the program that started it, even when that is killed", async () => {
    const launcher = new URL("../../../dev/servers/nats-server.ts", import.meta.url).href;
    const keys = new URL("../../../streams-config/keys.ts", import.meta.url).href;
    const program = `
      const { startNatsServer } = await import(${JSON.stringify(launcher)});
      const { generateKeys, publicKeys } = await import(${JSON.stringify(keys)});
      const server = await startNatsServer({ conf: { clusterId: "zzzzz", keys: publicKeys(generateKeys()) } });
      console.log(JSON.stringify({ pid: server.pid, dir: server.dir }));
    `;
    const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
    const { pid, dir } = JSON.parse(line) as { pid: number; dir: string };
    assert.equal(isAlive(pid), true);
    child.kill("SIGKILL");
    await until(() => !isAlive(pid), "the server's end");
    await until(
      () =>
        stat(dir).then(
          () => false,
          () => true,
        ),
      "its folder's end",
    );
  });
});
