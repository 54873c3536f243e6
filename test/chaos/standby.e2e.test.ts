/** A standby that lags is promoted: another history of the same database begins at its position. */
import assert from "node:assert/strict";
import { jetstreamManager } from "@nats-io/jetstream";
import pg from "pg";
import { parseRevision } from "../../core/revision.ts";
import { type PostgresServer, startPostgres } from "../../dev/servers/postgres.ts";
import { until } from "../../dev/testing/until.ts";
import { byEventId, type Stored } from "./checker.ts";
import { openSlot, readCommitLog } from "./commit-log.ts";
import { assertNone, leading, prepare } from "./scene.ts";
import { standbyOf } from "./standby.ts";
import { type ChaosWorld, startChaosWorld } from "./world.ts";

describe("after a standby that lags was promoted", () => {
  it("the commits that it lacks stay under the old epoch, and its own come once under a new one, behind a barrier", async () => {
    await using world = await startChaosWorld();
    const scene = await prepare(world);
    const { uuid: friend } = await world.arvados.createUser({ username: "friend" });
    await using standby = await startStandby(world);
    const bridge = world.bridge("a");
    await leading(bridge);
    await scene.publish(5);
    await replayed(world, standby);
    await standby.stop();
    await scene.commit(5);
    const { uuid: share } = await world.arvados.share(friend, scene.project, "can_read");
    await scene.caughtUp();
    const lost = await readCommitLog(world.pool);
    assert.notEqual(await graphRow(world, share), null);

    const said = bridge.lines.length;
    await world.postgres.kill9();
    await world.replacePostgres(standby.dataDir);
    const waits = () => bridge.lines.slice(said).some((line) => line.includes("is a standby"));
    await until(waits, "the bridge to see that this is no primary yet");
    await world.pool.query("SELECT pg_promote()");
    await openSlot(world.pool);
    await leading(bridge, said);
    await scene.publish(5);

    await assertNewHistory(world);
    const { before, after } = await byEpoch(world);
    assertNone(scene.compared(lost, before));
    assertNone(await scene.findings(after));
    assert.equal(await graphRow(world, share), null, "the graph was read again");
  });

  it("unpublished commits are not lost where it has the slot, and come once to a reader that goes by event id", async () => {
    await using world = await startChaosWorld();
    const scene = await prepare(world);
    await using standby = await startStandby(world, { keepsSlots: true });
    const bridge = world.bridge("a");
    await leading(bridge);
    await scene.publish(5);
    bridge.signal("SIGSTOP");
    await scene.commit(5);
    await replayed(world, standby);
    await standby.stop();
    await world.postgres.kill9();
    await world.replacePostgres(standby.dataDir);
    await world.pool.query("SELECT pg_promote()");
    const said = bridge.lines.length;
    bridge.signal("SIGCONT");
    await leading(bridge, said);
    await scene.publish(5);

    await assertNewHistory(world);
    const { before, after } = await byEpoch(world);
    assertNone(await scene.findings(after));
    assertNone(await scene.findings(byEventId([...before, ...after])));
    assert.ok(byEventId(before).length + byEventId(after).length > byEventId([...before, ...after]).length);
  });
});

async function startStandby(world: ChaosWorld, slots: { keepsSlots?: boolean } = {}): Promise<PostgresServer> {
  await world.postgres.kill9();
  const dataDir = await standbyOf(world.postgres, slots);
  await world.replacePostgres(world.postgres.dataDir);
  return startPostgres({ dataDir });
}

async function assertNewHistory(world: ChaosWorld): Promise<void> {
  const lead = (await world.leads()).at(-1);
  assert.deepEqual([lead?.reason, lead?.epoch, lead?.system.timeline], ["another database", 2, 2]);
  const [{ sequence = 0 } = {}] = (await byEpoch(world)).after;
  assert.ok((await enforced(world, 2)) < (await storedAt(world, "RECORDS", sequence)), "a barrier came first");
}

/** What RECORDS holds of the first epoch, and behind it of the second. */
async function byEpoch(world: ChaosWorld): Promise<{ before: Stored[]; after: Stored[] }> {
  const records = await world.records();
  const end = records.findIndex(({ epoch }) => epoch === 2);
  assert.ok(records.slice(end).every(({ epoch }) => epoch === 2));
  return { before: records.slice(0, end), after: records.slice(end) };
}

async function replayed(world: ChaosWorld, standby: PostgresServer): Promise<void> {
  const { rows } = await world.pool.query<{ lsn: string }>("SELECT pg_current_wal_lsn() AS lsn");
  const client = new pg.Client({ connectionString: standby.url(world.config.postgres.dbname) });
  await client.connect();
  const isThere = async () => {
    const answer = await client.query("SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS done", [rows[0]?.lsn]);
    return answer.rows[0].done === true;
  };
  await until(isThere, "the standby to have all there is");
  await client.end();
}

/** The link's row as GRAPH has it last. */
async function graphRow(world: ChaosWorld, uuid: string): Promise<unknown> {
  const jsm = await jetstreamManager(await world.nats.connect("gateway", "CORE"));
  const found = await jsm.streams.getMessage("GRAPH", { last_by_subj: world.nats.subjects.graph("link", uuid) });
  return found?.json<{ row: unknown }>().row;
}

/** When the first mark of that epoch was answered, by nats-server's clock (ms). */
async function enforced(world: ChaosWorld, epoch: number): Promise<number> {
  const jsm = await jetstreamManager(await world.nats.connect("gateway", "CORE"));
  const { state } = await jsm.streams.info("BARRIER");
  let mark = 0;
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage("BARRIER", { seq });
    const entry = message?.json<{ kind: string; revision?: string; mark?: number }>();
    if (mark === 0 && entry?.kind === "mark" && parseRevision(entry.revision ?? "")?.epoch === epoch) mark = seq;
    if (mark > 0 && entry?.kind === "cut" && entry.mark === mark) return message?.time.getTime() ?? 0;
  }
  throw new Error(`no barrier in epoch ${epoch}`);
}

async function storedAt(world: ChaosWorld, stream: string, seq: number): Promise<number> {
  const jsm = await jetstreamManager(await world.nats.connect("gateway", "STORE"));
  return (await jsm.streams.getMessage(stream, { seq }))?.time.getTime() ?? 0;
}
