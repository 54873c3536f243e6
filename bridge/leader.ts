/**
 * The bridge while it holds the replication slot, which is the leader lock: PostgreSQL admits one reader.
 *
 *   slot taken ─► graph read as of a snapshot ─► GRAPH brought into line ─► barrier ─► commits flow
 *
 * Commits arrive while the graph is still being read; they wait behind the gate. Those that the snapshot already contains
 * change the graph no more, but their events are published unless RECORDS has them.
 */
import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import type pg from "pg";
import { PermissionGraph } from "../core/graph/permission-graph.ts";
import type { GraphOptions } from "../core/graph/types.ts";
import { type Lsn, parseLsn } from "../core/lsn.ts";
import type { Revision } from "../core/revision.ts";
import { type Subjects, subjectsOf } from "../core/subjects.ts";
import { HEADER } from "../core/wire.ts";
import { deferred } from "../runtime/deferred.ts";
import type { Scope } from "../runtime/scope.ts";
import { BarrierClient } from "./barrier-client.ts";
import { BeatClock } from "./beat-clock.ts";
import type { Commit } from "./commit.ts";
import { CommitHandler, type Handled, isPermissionChange } from "./commit-handler.ts";
import { Confirmer } from "./confirmer.ts";
import { GraphState } from "./graph-state.ts";
import { GraphWriter, graphDifference, readStoredGraph } from "./graph-writer.ts";
import { lookUpOwners } from "./owner-lookup.ts";
import { connectPostgres, type DatabaseTarget, preflight } from "./preflight.ts";
import { FencedPublisher } from "./publisher.ts";
import { QueueWriter } from "./queue-writer.ts";
import { type RecordPosition, RecordsWriter } from "./records-writer.ts";
import { openReplication } from "./replication.ts";
import { readSnapshot } from "./snapshot.ts";

export type LeaderOptions = {
  core: NatsConnection;
  store: NatsConnection;
  database: DatabaseTarget;
  slot: string;
  publications: readonly string[];
  graph: GraphOptions;
  /** Milliseconds after which nats-server has surely synced what it acknowledged. */
  syncDelay: number;
  now: () => number;
  onCommit: (handled: Handled, commit: Commit) => void;
  /** A barrier was passed after `waited` milliseconds. */
  onCut: (revision: Revision, waited: number) => void;
  /** The graph is complete up to `time` (UTC ms); `confirmed` is what PostgreSQL may forget. */
  onBeat: (time: number | null, confirmed: Lsn) => void;
};

export type Leader = {
  revision: Revision;
  epoch: number;
  /** Resolves with what ended the lead. */
  ended: Promise<Error>;
};

const BEAT_MS = 500;

/** Resolves once commits flow. What it acquires is released by `scope`. */
export async function becomeLeader(options: LeaderOptions, scope: Scope): Promise<Leader> {
  const { core, store, now, database } = options;
  const { clusterId } = options.graph;
  const subjects = subjectsOf(clusterId);
  const [coreJs, coreJsm] = [jetstream(core), await jetstreamManager(core)];
  const [storeJs, storeJsm] = [jetstream(store), await jetstreamManager(store)];
  const failure = deferred<Error>();
  const fail = (error: unknown) => failure.resolve(error instanceof Error ? error : new Error(String(error)));

  const sql = await connectPostgres(database, fail);
  scope.defer("PostgreSQL connection", () => sql.end());
  await preflight(sql, database.database, options);

  const clock = new BeatClock();
  const confirmer = new Confirmer(options.syncDelay);
  const gate = deferred<(commit: Commit) => Promise<void>>();
  let unstored = 0;
  const replication = await openReplication({
    connection: { ...database, application_name: "arvados-nats bridge" },
    slot: options.slot,
    publications: options.publications,
    onCommit: async (commit) => (await gate.promise)(commit),
    onPassed: (lsn) => {
      clock.passed(lsn);
      if (unstored === 0) confirmer.stored(lsn, now());
    },
  });
  scope.defer("replication", () => replication.stop());
  void replication.ended.then((error) => fail(error ?? new Error("replication has ended")));

  const system = await identifySystem(sql);
  const state = new GraphState(clusterId);
  const snapshot = await readSnapshot(sql, (rows) => state.apply(rows));
  await lookUpOwners(sql, state);
  const graph = new PermissionGraph(options.graph);
  graph.apply([...state.all()].filter(isPermissionChange));

  const stored = await readStoredGraph(coreJs, coreJsm, subjects);
  const known = stored.commit;
  const same = known !== null && known.system.id === system.id && known.system.timeline === system.timeline;
  const epoch = same ? known.epoch : (known?.epoch ?? 0) + 1;
  const writer = new GraphWriter(
    coreJs,
    subjects,
    { epoch, system: { id: system.id, timeline: system.timeline } },
    stored.lastSequence,
  );
  const revision = await writer.write(graphDifference(stored.rows, state.all()), system.lsn, now());

  const last = await lastRecord(storeJsm, epoch);
  const records = new RecordsWriter({
    publisher: new FencedPublisher(storeJs, "RECORDS", last.sequence),
    epoch,
    stored: last.position,
    onStored: (lsn, waiting) => {
      unstored = waiting;
      if (waiting === 0) confirmer.stored(lsn, now());
    },
    onFailed: fail,
  });
  let markedAt = now();
  const barrier = new BarrierClient({
    nc: core,
    js: coreJs,
    jsm: coreJsm,
    subjects,
    barrier: records.barrier,
    onCut: (cut) => {
      options.onCut(cut, now() - markedAt);
      records.nudge();
    },
  });
  scope.defer("barrier", () => barrier.stop());
  const mark = (at: Revision) => {
    markedAt = now();
    barrier.mark(at);
  };
  // Whatever happened before this start: nothing is published before every session is of this revision or newer.
  mark(revision);

  const handler = new CommitHandler({
    state,
    graph,
    writer,
    records,
    queue: new QueueWriter(storeJs, subjects),
    subjects,
    mark,
    lookUpOwners: () => lookUpOwners(sql, state),
    now,
  });
  gate.resolve(async (commit) => {
    const handled = await handler.handle(commit, snapshot.contains(commit.xid));
    unstored = records.waitingEvents;
    options.onCommit(handled, commit);
  });

  const beat = async () => {
    const time = now();
    clock.sample(time, await flushedLsn(sql));
    const confirmed = confirmer.safe(now());
    // With the ping PostgreSQL answers at once how far it has sent, idle or not.
    await replication.confirm(confirmed, true);
    sayBeat(core, subjects, clock.beat, writer.revision);
    options.onBeat(clock.beat, confirmed);
  };
  const timer = setInterval(() => void beat().catch(fail), BEAT_MS);
  scope.defer("beat", () => clearInterval(timer));
  await beat();
  return { revision, epoch, ended: failure.promise };
}

function sayBeat(core: NatsConnection, subjects: Subjects, time: number | null, revision: Revision): void {
  if (time !== null) core.publish(subjects.graphBeat, JSON.stringify({ time, revision }));
}

async function flushedLsn(sql: pg.Client): Promise<Lsn> {
  const { rows } = await sql.query<{ lsn: string }>("SELECT pg_current_wal_flush_lsn() AS lsn");
  return parseLsn(rows[0]?.lsn ?? "");
}

/** What IDENTIFY_SYSTEM says, over an ordinary connection. */
async function identifySystem(sql: pg.Client): Promise<{ id: string; timeline: number; lsn: Lsn }> {
  const { rows } = await sql.query<{ id: string; timeline: number }>(
    `SELECT system_identifier::text AS id, timeline_id AS timeline FROM pg_control_system(), pg_control_checkpoint()`,
  );
  return { id: rows[0]?.id ?? "", timeline: rows[0]?.timeline ?? 0, lsn: await flushedLsn(sql) };
}

/** Where RECORDS ends, and up to which event it holds this epoch's commits. */
async function lastRecord(
  jsm: JetStreamManager,
  epoch: number,
): Promise<{ sequence: number; position: RecordPosition | null }> {
  const { state } = await jsm.streams.info("RECORDS");
  const message = state.messages === 0 ? null : await jsm.streams.getMessage("RECORDS", { seq: state.last_seq });
  const header = (name: string) => message?.header.get(name) ?? "";
  const sequence = state.last_seq;
  if (!message || header(HEADER.epoch) !== String(epoch)) return { sequence, position: null };
  const [ordinal, copy] = [Number(header(HEADER.ordinal)), Number(header(HEADER.copy))];
  return { sequence, position: { lsn: parseLsn(header(HEADER.lsn)), ordinal, copy } };
}
