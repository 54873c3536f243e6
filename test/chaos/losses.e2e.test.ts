/** Acknowledged messages are lost: a new epoch begins, and their commits come again where PostgreSQL has them. */
import assert from "node:assert/strict";
import { until } from "../../dev/testing/until.ts";
import type { BridgeProcess } from "./bridge-child.ts";
import type { Stored } from "./checker.ts";
import { type Synced, syncedNow } from "./power-loss.ts";
import { assertNone, leading, prepare, type Scene, seenOnce } from "./scene.ts";
import { type ChaosWorld, startChaosWorld } from "./world.ts";

/** Longer than any test: nothing is confirmed to PostgreSQL. */
const SYNC_INTERVAL = 600_000;
const UNSYNCED = 30;

type Loss = {
  /** The server's index was written after the messages that are lost. */
  isIndexNewer: boolean;
  /** The bridge that saw what was acknowledged is there afterwards. */
  bridgeSurvives: boolean;
  lose: (synced: Synced) => Promise<unknown>;
};

/** The power goes when some commits are not synced; a reader that was there all the time goes by event id. */
async function powerLoss({ isIndexNewer, bridgeSurvives, lose }: Loss) {
  await using world = await startChaosWorld({ syncInterval: SYNC_INTERVAL });
  const { server } = world.nats;
  const scene = await prepare(world);
  const bridge = world.bridge("a");
  await using reader = await world.follow();
  await leading(bridge);
  // Moves in each turn, so that repeated commits must be routed by the graph at their time.
  const { uuid: wanderer } = await world.arvados.createProject({ name: "wanderer", owner: scene.user });
  const wander = async (home: string) => {
    await world.arvados.createCollection({ name: `on the way to ${home}`, owner: wanderer });
    await world.arvados.move(wanderer, home);
  };
  await scene.publish(10);
  const kept = (await world.records()).length;
  await using synced = await syncedNow(server);
  await wander(scene.project);
  await scene.commit(UNSYNCED);
  await wander(scene.user);
  await scene.caughtUp();
  const before = await world.records();
  await seenOnce(world, reader.seen);
  await restart(world, bridge, isIndexNewer);
  if (!bridgeSurvives) bridge.kill9();
  await server.kill9();
  await lose(synced);
  await server.restart();
  await until(async () => (await world.leads()).at(-1)?.epoch === 2, "the new epoch");
  await scene.publish(3);
  await assertWhole(world, scene, reader.seen);
  const events = await world.records();
  const told = ({ eventId, subject }: Stored) => `${eventId} ${subject}`;
  const tellings = new Set(events.map(told));
  assert.deepEqual(
    before.map(told).filter((telling) => !tellings.has(telling)),
    [],
    "the same events in the same places",
  );
  const again = events.filter(({ epoch }) => epoch === 2).length - 3;
  assert.ok(again > 0 && again <= before.length - kept, `${again} of the ${before.length - kept} unsynced came again`);
  return (await world.leads()).at(-1)?.reason;
}

/** A restart that loses nothing is no new epoch. In order, the server writes its index. */
async function restart(world: ChaosWorld, bridge: BridgeProcess, inOrder: boolean): Promise<void> {
  const said = bridge.lines.length;
  if (inOrder) await world.nats.server.restart();
  else await world.killNats();
  await leading(bridge, said);
  assert.equal((await world.leads()).at(-1)?.epoch, 1);
}

async function assertWhole(world: ChaosWorld, scene: Scene, seen: Parameters<typeof seenOnce>[1]): Promise<void> {
  assertNone(await scene.findings());
  assertNone(await scene.findings(await scene.history()));
  assertNone(await scene.findings(await seenOnce(world, seen)));
  assert.ok(seen.length > (await world.records()).length, "the reader had seen what was lost");
}

describe("after a power loss of nats-server, missing events come again under a new epoch, and to a reader once", () => {
  it("where the files are as they were some time ago: by the bridge that saw it", async () => {
    const lose = (synced: Synced) => synced.putBack();
    assert.equal(await powerLoss({ isIndexNewer: false, bridgeSurvives: true, lose }), "stream went back");
  });

  it("where the files are as they were some time ago: by another bridge", async () => {
    const lose = (synced: Synced) => synced.putBack();
    assert.equal(await powerLoss({ isIndexNewer: false, bridgeSurvives: false, lose }), "server restarted unseen");
  });

  it("where the index is newer than the messages", async () => {
    const lose = (synced: Synced) => synced.cutBlocks();
    assert.equal(await powerLoss({ isIndexNewer: true, bridgeSurvives: false, lose }), "stream has a hole");
  });

  it("where a page of the messages is zeros", async () => {
    const lose = async (synced: Synced) => assert.ok(await synced.zeroPage(0.4));
    assert.equal(await powerLoss({ isIndexNewer: false, bridgeSurvives: true, lose }), "stream went back");
  });

  it("where a page of the messages is zeros and the index knows nothing of it", async () => {
    const lose = async (synced: Synced) => assert.ok(await synced.zeroPage(0.4));
    assert.equal(await powerLoss({ isIndexNewer: true, bridgeSurvives: false, lose }), "stream has a hole");
  });
});

describe("a bridge that counts unsynced messages as synced", () => {
  it("would lose events that PostgreSQL has forgotten", async () => {
    await using world = await startChaosWorld({ syncInterval: 0 });
    const { server } = world.nats;
    const scene = await prepare(world);
    const bridge = world.bridge("a");
    await leading(bridge);
    await scene.publish(5);
    await using synced = await syncedNow(server);
    await scene.publish(5);
    const end = (await world.last())?.lsn;
    const isConfirmed = async () => {
      const { rows } = await world.pool.query<{ done: boolean }>(
        "SELECT confirmed_flush_lsn >= $1::pg_lsn AS done FROM pg_replication_slots WHERE slot_name = $2",
        [end, world.config.replication.slot],
      );
      return rows[0]?.done;
    };
    await until(isConfirmed, "the bridge to confirm what it has stored");
    await server.kill9();
    await synced.putBack();
    await server.restart();
    await until(async () => (await world.leads()).at(-1)?.epoch === 2, "the new epoch, which tells of it");
    await scene.publish(3);
    assert.equal((await scene.findings()).filter(({ what }) => what === "missing").length, 5);
  });
});

describe("after the replication slot was lost", () => {
  it("the bridge creates it again, or uses one that a person created, under a new epoch, and continues", async () => {
    await using world = await startChaosWorld();
    const scene = await prepare(world);
    const bridge = world.bridge("a");
    await leading(bridge);
    await scene.publish(3);
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
    await leading(bridge, bridge.lines.length);
    const lead = async () => (await world.leads()).at(-1);
    assert.equal((await lead())?.reason, "slot lost");
    assert.equal((await lead())?.epoch, 2);
    await scene.publish(3);

    // By hand, while no bridge runs: commits before it is created again are in no stream.
    await bridge.stop();
    await dropped();
    await world.arvados.createUser({ username: "unheard" });
    await world.pool.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
    await leading(world.bridge("b"));
    assert.equal((await lead())?.reason, "slot was moved");
    assert.equal((await lead())?.epoch, 3);
    await scene.publish(3);
  });
});
