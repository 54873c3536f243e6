/** Live logs with Arvados as it is: the bridge reads them from the Arvados API for those who tail them, and for nobody else. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { runBridge } from "../../../bridge/main.ts";
import type { Client, TailEnd } from "../../../client/mod.ts";
import { openLogWriter } from "../../../dev/log-writer.ts";
import { type SimulatedApi, startArvadosApi } from "../../../dev/simulated-api.ts";
import { environmentOf } from "../../../dev/testing/environment.ts";
import { until } from "../../../dev/testing/until.ts";
import { silentLog } from "../../../runtime/log/log.ts";
import { createScope, type Scope } from "../../../runtime/scope.ts";
import { hostService } from "../../../runtime/service-host.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

const FILE = "stdout.txt";
const TOKEN = "systemroottokensystemroottokensystemroottoken12345";

type Reader = { text(): string; end(): TailEnd | null; stop(): void };

describe("the log follower", () => {
  let scope: Scope;
  let api: SimulatedApi;
  let stack: TestStack;
  let alice: Client;
  let bob: Client;
  let bridge: { stop(): Promise<void>; adminUrl: string };
  let line = 0;

  before(async () => {
    scope = createScope();
    api = scope.use("API", await startArvadosApi(TOKEN), (it) => it[Symbol.asyncDispose]());
    stack = await startTestStack({
      overrides: {
        arvadosApiUrl: api.url,
        systemRootToken: TOKEN,
        logFollower: { pollMin: 50, pollMax: 200, settle: 200 },
      },
    });
    scope.defer("stack", () => stack[Symbol.asyncDispose]());
    const { users } = stack.cluster;
    alice = await stack.connectClient(users.alice.token.v2);
    bob = await stack.connectClient(users.bob.token.v2);
    const { bridge: first } = stack.services;
    bridge = { stop: () => first.drain(), adminUrl: first.adminUrl };
  });

  after(() => scope.close());

  /** Another bridge in the place of the one that was stopped. */
  async function startBridge(): Promise<void> {
    const own = scope.child("bridge");
    const { config } = stack;
    const service = await hostService({ name: "bridge", start: runBridge, config, log: silentLog(), scope: own });
    const stop = async () => {
      await service.drain();
      await own.close();
    };
    bridge = { stop, adminUrl: service.adminUrl };
  }

  async function runContainer(): Promise<{ container: string; request: string; token: string }> {
    const { arvados, cluster } = stack;
    const { uuid: request, container } = await arvados.createContainerRequest({
      name: "logs",
      owner: cluster.projects.run1,
      by: cluster.users.alice.uuid,
      committed: true,
    });
    const { token } = await arvados.runContainer(container ?? "");
    return { container: container ?? "", request, token: token.withContainer };
  }

  function write(container: string, lines = 1): void {
    for (let i = 0; i < lines; i++) api.append(container, FILE, `${new Date().toISOString()} line ${++line}\n`);
  }

  function tail(client: Client, container: string): Reader {
    const parts: Buffer[] = [];
    let end: TailEnd | null = null;
    const open = () =>
      client.tail({
        container,
        file: FILE,
        onBytes: (bytes) => void parts.push(Buffer.from(bytes)),
        onGap: (from, to) => assert.fail(`a gap from ${from} to ${to}`),
        onEnd(why) {
          // The gateway may not have heard yet that there is such a container.
          if (why.notice !== "refused" || client !== alice) end = why;
          else setTimeout(reopen, 10);
        },
      });
    let opened = open();
    const reopen = () => {
      opened = open();
    };
    return { text: () => Buffer.concat(parts).toString(), end: () => end, stop: () => opened.stop() };
  }

  const has = (reader: Reader, container: string) => () => reader.text() === api.file(container, FILE).toString();

  async function complete(container: string, ...readers: Reader[]): Promise<void> {
    await stack.arvados.completeContainer(container);
    for (const reader of readers) {
      const end = await until(reader.end, "the end of the log");
      assert.equal(end.notice, "logComplete");
      assert.equal(reader.text(), api.file(container, FILE).toString());
    }
  }

  async function metric(name: string): Promise<number> {
    const text = await (await fetch(`${bridge.adminUrl}/metrics`)).text();
    return Number(new RegExp(`^arvados_nats_bridge_${name} (\\d+)`, "m").exec(text)?.[1] ?? 0);
  }

  const asked = (container: string) => api.requests.filter((request) => request.container === container);

  it("brings a running container's log to those who tail it, as it grows, and says when it is complete", async () => {
    const { container, request } = await runContainer();
    write(container, 3);
    const reader = tail(alice, container);
    await until(has(reader, container), "what was there");
    for (let i = 0; i < 20; i++) {
      write(container);
      await until(has(reader, container), "the next line");
    }
    write(container, 2);
    await complete(container, reader);
    assert.ok(asked(container).every((one) => one.request === request && one.file === FILE));
    const late = tail(alice, container);
    await until(late.end, "the end of a complete log");
    assert.equal(late.text(), api.file(container, FILE).toString());
  });

  it("asks for no log that nobody tails, or that the user who tails it may not read", async () => {
    const { container } = await runContainer();
    write(container);
    const reader = tail(bob, container);
    assert.equal((await until(reader.end, "the refusal")).notice, "refused");
    const other = await runContainer();
    write(other.container);
    const follows = tail(alice, other.container);
    await until(has(follows, other.container), "the follower to be at work");
    assert.equal(asked(container).length, 0);
    await complete(other.container, follows);
    assert.equal(asked(container).length, 0);
  });

  it("reads once for ten readers", async () => {
    const { container } = await runContainer();
    write(container, 5);
    const before = await metric("follower_bytes_total");
    const readers = Array.from({ length: 10 }, () => tail(alice, container));
    for (const reader of readers) await until(has(reader, container), "what was there");
    assert.equal(await metric("follower_files"), 1);
    for (let i = 0; i < 5; i++) {
      write(container, 3);
      for (const reader of readers) await until(has(reader, container), "the next lines");
    }
    await complete(container, ...readers);
    const size = api.file(container, FILE).length;
    assert.equal((await metric("follower_bytes_total")) - before, size, "stored once");
    const starts = asked(container).map(({ from }) => from);
    assert.deepEqual(
      starts,
      [...starts].sort((a, b) => a - b),
      "one reads, and only forwards",
    );
  });

  it("catches up after the Arvados API has failed for a while", async () => {
    const { container } = await runContainer();
    write(container);
    const reader = tail(alice, container);
    await until(has(reader, container), "what was there");
    api.failing = 502;
    const failed = () => asked(container).filter(({ status }) => status === 502).length;
    await until(() => failed() >= 2, "two failures");
    write(container, 10);
    await stack.arvados.completeContainer(container);
    const seen = failed();
    await until(() => failed() >= seen + 2, "failures after the end");
    assert.equal(reader.end(), null, "what cannot be read is not complete");
    api.failing = null;
    assert.equal((await until(reader.end, "the end")).notice, "logComplete");
    assert.equal(reader.text(), api.file(container, FILE).toString());
  });

  it("continues byte for byte in another bridge when the one that reads is killed with -9", async () => {
    const { container } = await runContainer();
    await bridge.stop();
    const env = { ...process.env, ...environmentOf(stack.config) };
    const child = spawn(process.execPath, ["--import", "tsx", "cli/main.ts", "bridge"], { env, stdio: "ignore" });
    scope.defer("bridge process", () => child.kill("SIGKILL"));
    const reader = tail(alice, container);
    write(container, 2_000);
    const read = (more: number) => () => asked(container).length >= more;
    await until(has(reader, container), "what the process has read");
    // A standby: it says that it has started while the other leads.
    await startBridge();
    const writing = setInterval(() => write(container, 100), 2);
    await until(read(asked(container).length + 3), "the process to be in the middle of it");
    child.kill("SIGKILL");
    await once(child, "exit");
    await until(read(asked(container).length + 3), "the other bridge to read");
    clearInterval(writing);
    await until(has(reader, container), "all of it");
    await complete(container, reader);
  });

  it("leaves a log alone once its container publishes it", async () => {
    const { container, token } = await runContainer();
    const reader = tail(alice, container);
    const { clusterId } = stack.config;
    const open = () => openLogWriter({ url: stack.nats.url, clusterId, container, file: FILE, token });
    const writer = await until(() => open().catch(() => null), "the container's token to be known");
    scope.defer("writer", () => writer.close());
    await writer.write("from the container itself\n");
    await until(() => reader.text() === "from the container itself\n", "the container's word");
    api.append(container, FILE, "from the container itself\nand more\n");
    await until(async () => (await metric("follower_files")) === 0, "the follower to let go");
    const count = asked(container).length;
    await writer.write("and more\n");
    await until(has(reader, container), "the rest");
    assert.equal(asked(container).length, count, "nothing is asked any more");
    reader.stop();
  });
});
