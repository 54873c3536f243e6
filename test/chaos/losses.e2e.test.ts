/** What was acknowledged is gone, or the database is not the one it was: a new epoch says so, and what can be had again comes again. */
import assert from "node:assert/strict";
import { cp, rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import type { LeaderEntry } from "../../core/wire.ts";
import { until } from "../support/until.ts";
import { check, type Stored } from "./checker.ts";
import { readCommitLog } from "./commit-log.ts";
import { type BridgeProcess, startWorld, type World } from "./world.ts";

const isLeading = (bridge: BridgeProcess, after = 0) =>
  bridge.lines.slice(after).some((line) => line.includes('"leading:'));

const isLeadingNow = (bridge: BridgeProcess, after = 0) =>
  until(() => isLeading(bridge, after), "the bridge to lead", 15_000);

async function scene(world: World) {
  const { uuid: user } = await world.arvados.createUser({ username: "writer" });
  const { uuid: project } = await world.arvados.createProject({ name: "project", owner: user });
  // Is somewhere else after each round, so that what comes again has to be routed by the graph of then.
  const { uuid: wanderer } = await world.arvados.createProject({ name: "wanderer", owner: user });
  let home = user;
  const bridge = world.bridge("a");
  await isLeadingNow(bridge);
  const write = async (count: number) => {
    for (let i = 0; i < count; i++) {
      await world.arvados.createCollection({ name: `c ${i}`, owner: project });
      if (i % 5 > 0) continue;
      await world.arvados.createCollection({ name: `w ${i}`, owner: wanderer });
      home = home === user ? project : user;
      await world.arvados.move(wanderer, home);
    }
    const last = (await readCommitLog(world.pool)).at(-1)?.lsn;
    await until(async () => (await world.records()).some(({ lsn }) => lsn === last), "the bridge to catch up", 20_000);
  };
  const findings = async () =>
    check(
      await readCommitLog(world.pool),
      await world.records(),
      new Map([[project, `${user}.${project}`]]),
      world.subjectPrefix,
    );
  const leader = async (): Promise<LeaderEntry | undefined> => {
    const nc = await world.nats.connect("gateway", "STORE", { reconnect: true });
    const jsm = await jetstreamManager(nc);
    const found = await jsm.streams.getMessage("RECORDS", { last_by_subj: world.nats.subjects.recordsLeader });
    await nc.close();
    return found?.json<LeaderEntry>();
  };
  return { bridge, write, findings, leader };
}

describe("after a power loss of nats-server", () => {
  for (const survives of [true, false]) {
    it(`the missing end comes again under a new epoch, ${survives ? "by the bridge that saw it" : "by another bridge"}`, async () => {
      await using world = await startWorld({ syncInterval: 600_000 });
      const { bridge, write, findings, leader } = await scene(world);
      const { server } = world.nats;
      const [store, copy] = [join(server.dir, "store"), join(server.dir, "copy")];
      await write(10);
      await server.kill9();
      await cp(store, copy, { recursive: true });
      await server.restart();
      await write(10);
      const before = await world.records();
      assert.equal((await leader())?.epoch, 1, "a restart that lost nothing is no new epoch");

      if (!survives) bridge.kill9();
      await server.kill9();
      await rm(store, { recursive: true });
      await cp(copy, store, { recursive: true });
      await server.restart();
      await until(async () => (await world.records()).length >= before.length, "what was lost to come again", 20_000);
      assert.deepEqual(await findings(), []);
      const told = (records: Stored[]) => records.map(({ eventId, subject }) => `${eventId} ${subject}`);
      assert.deepEqual(told(await world.records()), told(before), "the same events in the same places");
      const entry = await leader();
      assert.equal(entry?.epoch, 2);
      assert.equal(entry?.reason, survives ? "stream went back" : "server restarted unseen");
      await write(3);
      assert.deepEqual(await findings(), []);
    });
  }
});

describe("after a power loss that left nats-server's index newer than its messages", () => {
  it("what is missing comes again under a new epoch, each event once", async () => {
    await using world = await startWorld({ syncInterval: 600_000 });
    const { bridge, write, findings, leader } = await scene(world);
    const { server } = world.nats;
    const messages = join(server.dir, "store", "jetstream", "STORE", "streams", "RECORDS", "msgs");
    await write(10);
    await server.kill9();
    const size = (await stat(join(messages, "1.blk"))).size;
    await server.restart();
    await write(10);
    const before = await world.records();
    // In order, so that the index is written.
    await server.restart();
    await until(async () => (await world.records()).length >= before.length, "all of it to be there");
    bridge.kill9();
    await server.kill9();
    await truncate(join(messages, "1.blk"), size);
    await server.restart();
    await write(3);
    const entry = await leader();
    assert.equal(entry?.reason, "stream has a hole");
    assert.equal(entry?.epoch, 2);
    const ids = new Set((await world.records()).map(({ eventId }) => eventId));
    assert.deepEqual(
      before.filter(({ eventId }) => !ids.has(eventId)),
      [],
      "nothing is missing",
    );
    // Nothing stood behind the hole, so not even the stream itself repeats anything.
    assert.deepEqual(await findings(), []);
  });
});

describe("after the replication slot was lost", () => {
  it("the bridge makes it anew, or takes the one that somebody made, under a new epoch, and goes on", async () => {
    await using world = await startWorld();
    const { bridge, write, leader } = await scene(world);
    await write(3);
    const { slot } = world.config.replication;
    const drop = async () => {
      await world.pool.query("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1", [
        slot,
      ]);
      await world.pool.query("SELECT pg_drop_replication_slot($1)", [slot]);
      return true;
    };
    const dropped = () => until(() => drop().catch(() => false), "the slot to be dropped");
    await dropped();
    await isLeadingNow(bridge, bridge.lines.length);
    assert.equal((await leader())?.reason, "slot lost");
    assert.equal((await leader())?.epoch, 2);
    await write(3);
    assert.equal((await leader())?.epoch, 2);

    // By hand, while no bridge runs: what is committed before it is made again comes to nobody.
    await bridge.stop();
    await dropped();
    await world.arvados.createUser({ username: "unheard" });
    await world.pool.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
    await isLeadingNow(world.bridge("b"));
    assert.equal((await leader())?.reason, "slot was moved");
    assert.equal((await leader())?.epoch, 3);
    await write(3);
  });
});
