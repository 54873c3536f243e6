import assert from "node:assert/strict";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { createLogApi } from "../../../bridge/logs/log-api.ts";
import { LogContainers } from "../../../bridge/logs/log-containers.ts";
import { LogFollower, type LogFollowerParts } from "../../../bridge/logs/log-follower.ts";
import { LogStore } from "../../../bridge/logs/log-store.ts";
import type { RowChange } from "../../../bridge/postgres/row.ts";
import { GraphRowSet } from "../../../bridge/rows/graph-row-set.ts";
import { LOG_FILES } from "../../../core/logs/log-files.ts";
import { HEADER, TAILED_LEASE_MS } from "../../../core/wire/wire.ts";
import { type SimulatedApi, startArvadosApi } from "../../../dev/simulated-api.ts";
import { until } from "../../../dev/testing/until.ts";
import { silentLog } from "../../../runtime/log/log.ts";
import { Semaphore } from "../../../runtime/semaphore.ts";
import { startNats, type TestNats } from "../../support/servers/nats.ts";

const uuid = (infix: string, n: number) => `zzzzz-${infix}-${String(n).padStart(15, "0")}`;
const rules = { pollMin: 20, pollMax: 50, believeAfter: 50, readBytes: 4_096, chunkBytes: 512 };

/** Real LOGS and a real API; the containers are rows that a test makes. */
class World {
  readonly state = new GraphRowSet("zzzzz");
  readonly followers: LogFollower[] = [];
  now = Date.now();
  readonly nats: TestNats;
  readonly api: SimulatedApi;

  constructor(nats: TestNats, api: SimulatedApi) {
    this.nats = nats;
    this.api = api;
  }

  async follower(more: Partial<LogFollowerParts> = {}): Promise<LogFollower> {
    const nc = await this.nats.connect("bridge", "STORE");
    const now = () => this.now;
    const made = new LogFollower({
      subjects: this.nats.subjects,
      containers: new LogContainers(this.state, now),
      always: false,
      read: createLogApi({ url: this.api.url, token: this.api.token, timeoutMs: 5_000 }),
      turns: new Semaphore(16, 2),
      store: new LogStore(jetstream(nc), await jetstreamManager(nc)),
      rules,
      now: Date.now,
      log: silentLog(),
      onAnswer: () => {},
      onStored: () => {},
      ...more,
    });
    this.followers.push(made);
    return made;
  }

  /** A container and its request, or its new state. */
  commit(n: number, state: string): string {
    const container = uuid("dz642", n);
    const rows: RowChange[] = [
      { table: "containers", op: "insert", id: n, row: { id: n, uuid: container, state } },
      {
        table: "container_requests",
        op: "insert",
        id: n,
        row: { id: n, uuid: uuid("xvhdp", n), owner_uuid: uuid("tpzed", 1), container_uuid: container },
      },
    ];
    this.state.apply(rows);
    for (const follower of this.followers) follower.apply(rows);
    return container;
  }

  /** What LOGS holds of a file: each message once it is there. */
  async stored(container: string, file: string) {
    const nc = await this.nats.connect("gateway", "STORE");
    const jsm = await jetstreamManager(nc);
    const subject = this.nats.subjects.log(container, file);
    const { state } = await jsm.streams.info("LOGS");
    const found: { offset: number; data: Uint8Array; complete: boolean }[] = [];
    for (let seq = 1; seq <= state.last_seq; seq++) {
      const message = await jsm.streams.getMessage("LOGS", { seq });
      if (message?.subject !== subject) continue;
      const offset = Number(message.header.get(HEADER.logOffset));
      found.push({ offset, data: message.data, complete: message.header.has(HEADER.logComplete) });
    }
    await nc.close();
    return found;
  }

  asked(container: string): number {
    return this.api.requests.filter((request) => request.container === container).length;
  }
}

describe("the log follower", () => {
  let world: World;

  before(async () => {
    world = new World(await startNats(), await startArvadosApi("root"));
  });

  afterEach(() => {
    for (const follower of world.followers.splice(0)) follower.stop();
  });

  after(async () => {
    await world.api[Symbol.asyncDispose]();
    await world.nats[Symbol.asyncDispose]();
  });

  const log = (container: string, file = "stdout.txt") => world.nats.subjects.log(container, file);

  it("follows a log while a client tails it, and stops when no gateway repeats that", async () => {
    const container = world.commit(1, "Running");
    const follower = await world.follower({ now: () => world.now });
    follower.tailed([log(container)]);
    assert.equal(follower.size, 1);
    await until(() => world.asked(container) > 3, "it to be read");
    world.now += TAILED_LEASE_MS / 2;
    follower.tailed([log(container)]);
    world.now += TAILED_LEASE_MS / 2 + 1;
    follower.sweep();
    assert.equal(follower.size, 1, "said again meanwhile");
    world.now += TAILED_LEASE_MS / 2;
    follower.sweep();
    await until(() => follower.size === 0, "it to be let go");
    const count = world.asked(container);
    const other = world.commit(2, "Running");
    follower.tailed([log(other)]);
    await until(() => world.asked(other) > 5, "another one to be read");
    assert.ok(world.asked(container) <= count + 1, "but for what was under way");
  });

  it("uses the system root token for the files of crunch-run, and for no other name", async () => {
    const container = world.commit(3, "Running");
    const follower = await world.follower();
    const names = ["../../../users", "secret", "stdout.txt/..", "%2e%2e", "%ff", "stdout"];
    follower.tailed([...names.map((name) => log(container, name)), `${log(container)}.>`, "nonsense", ""]);
    assert.equal(follower.size, 0);
    follower.tailed([log("zzzzz-dz642-nosuchcontainer")]);
    await until(() => follower.size === 0, "a container that is not there to be left");
    assert.equal(world.asked("zzzzz-dz642-nosuchcontainer"), 0);
  });

  it("starts also with a container that it saw end, and not with one that had ended before", async () => {
    const over = world.commit(4, "Complete");
    const seen = world.commit(5, "Running");
    const follower = await world.follower();
    world.commit(5, "Complete");
    for (const container of [over, seen]) world.api.append(container, "stdout.txt", "all of it\n");
    follower.tailed([log(over), log(seen)]);
    await until(() => follower.size === 0, "both to be done");
    assert.equal(world.asked(over), 0);
    assert.equal((await world.stored(over, "stdout.txt")).length, 0);
    const [whole, end] = await world.stored(seen, "stdout.txt");
    assert.equal(Buffer.from(whole?.data ?? []).toString(), "all of it\n");
    assert.deepEqual([end?.offset, end?.complete], [10, true]);
  });

  it("copies every file of every running container to its end, where it is set to always follow", async () => {
    const before = world.commit(6, "Locked");
    const follower = await world.follower({ always: true });
    const after = world.commit(7, "Running");
    world.commit(8, "Queued");
    const count = follower.size;
    for (const container of [before, after]) {
      for (const file of LOG_FILES.slice(0, 4)) world.api.append(container, file, `${file} of ${container}\n`);
    }
    await until(() => world.asked(after) > 30 && world.asked(before) > 30, "them to be read");
    world.commit(7, "Complete");
    await until(() => follower.size <= count - LOG_FILES.length, "the end");
    follower.sweep();
    for (const file of LOG_FILES.slice(0, 4)) {
      const [first, last] = await world.stored(after, file);
      assert.equal(Buffer.from(first?.data ?? []).toString(), `${file} of ${after}\n`);
      assert.ok(last?.complete, file);
    }
    assert.equal(world.asked(uuid("dz642", 8)), 0, "a queued one has no log");
  });

  it("writes each byte into LOGS once, also where two followers write", async () => {
    const container = world.commit(9, "Running");
    const both = [await world.follower(), await world.follower(), await world.follower()];
    for (const follower of both) follower.tailed([log(container)]);
    for (let i = 0; i < 200; i++) {
      world.api.append(container, "stdout.txt", `line ${i} ${"x".repeat(i)}\n`);
      if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    world.commit(9, "Complete");
    await until(() => both.every(({ size }) => size === 0), "all to be done");
    const stored = await world.stored(container, "stdout.txt");
    const file = world.api.file(container, "stdout.txt");
    assert.ok(Buffer.concat(stored.map(({ data }) => data)).equals(file));
    assert.equal(stored.filter(({ complete }) => complete).length, 1);
    for (const { data } of stored) assert.ok(data.length <= rules.chunkBytes);
  });

  it("never has more requests at a time than allowed", async () => {
    const follower = await world.follower({ turns: new Semaphore(3, 2), read: slow(), always: true });
    let most = 0;
    let underWay = 0;
    function slow(): LogFollowerParts["read"] {
      return async () => {
        most = Math.max(most, ++underWay);
        await new Promise((resolve) => setTimeout(resolve, 5));
        underWay--;
        return { type: "absent" };
      };
    }
    world.commit(10, "Running");
    world.commit(11, "Running");
    assert.ok(follower.size >= 2 * LOG_FILES.length);
    await until(() => most === 3, "three at a time");
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(most, 3);
  });
});
