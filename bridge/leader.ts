/**
 * The bridge while it holds the replication slot, which is the leader lock: PostgreSQL admits one reader.
 *
 *   slot taken ─► graph read as of a snapshot ─► streams read back, epoch decided ─► streams brought into line ─► barrier ─► commits flow
 *
 * Commits arrive while all this goes on; they wait behind the gate. Those that the snapshot already contains change GRAPH no
 * more, but their events are published unless RECORDS has them, routed by the graph as it was then.
 */
import { jetstream } from "@nats-io/jetstream";
import { Fault, fault } from "../core/errors.ts";
import { PermissionGraph } from "../core/graph/permission-graph.ts";
import type { GraphOptions } from "../core/graph-types.ts";
import { formatLsn, type Lsn, laterLsn } from "../core/lsn.ts";
import type { Revision } from "../core/revision.ts";
import { permissionChanges } from "../core/rows.ts";
import { subjectsOf } from "../core/subjects.ts";
import { deferred } from "../runtime/deferred.ts";
import type { Scope } from "../runtime/scope.ts";
import { STREAM_PROFILES } from "../streams-config/streams.ts";
import { CatalogCheck } from "./commit/catalog-check.ts";
import type { Commit } from "./commit/commit.ts";
import { CommitHandler, type Handled } from "./commit/commit-handler.ts";
import { CustomRate, customAllowance } from "./commit/custom-rate.ts";
import { PastGraph } from "./commit/past-graph.ts";
import { openReplication } from "./commit/replication.ts";
import { SilentChanges } from "./commit/silent-changes.ts";
import { CatalogWatch } from "./postgres/catalog-watch.ts";
import { ALL_TABLES } from "./postgres/found-tables.ts";
import { connectPostgres, type DatabaseTarget, preflight } from "./postgres/preflight.ts";
import type { RowChange } from "./postgres/row.ts";
import { confirmedPosition, ensureSlot, identifySystem } from "./postgres/slot.ts";
import { readSnapshot } from "./postgres/snapshot.ts";
import type { TableName } from "./postgres/tables.ts";
import { BEAT_MS, repeat, sayBeat } from "./progress/beat.ts";
import { BeatClock } from "./progress/beat-clock.ts";
import { Confirmer } from "./progress/confirmer.ts";
import { PositionTracker } from "./progress/position-tracker.ts";
import { GraphRowSet } from "./rows/graph-row-set.ts";
import { lookUpOwners, lookUpRows } from "./rows/owner-lookup.ts";
import { BarrierClient } from "./streams/barrier-client.ts";
import { GraphLogWriter } from "./streams/graph-log-writer.ts";
import { GraphWriter } from "./streams/graph-writer.ts";
import { TroubleRecord } from "./streams/handling-failure.ts";
import { type QueueEntry, QueueWriter, queueEntry } from "./streams/queue-writer.ts";
import { RecordsWriter } from "./streams/records-writer.ts";
import type { Epoch } from "./takeover/epoch.ts";
import { lookUpPlaces } from "./takeover/stored-owners.ts";
import { graphDifference } from "./takeover/stored-state.ts";
import { openStreams, type StreamsOptions } from "./takeover/term-streams.ts";

/** Between two times that it is said up to where everything is stored; the longer one where that has not changed. */
const SAY_STORED_MS = 5_000;
const REPEAT_STORED_MS = 24 * 3_600_000;

/** What RECORDS takes as one message, and what of it subject and headers may need. */
const MAX_BODY = STREAM_PROFILES.single.maxMsgSize;
const HEADER_BYTES = 8 * 1024;

export type LeaderOptions = StreamsOptions & {
  database: DatabaseTarget;
  slot: string;
  /** A term before found that what it keeps cannot be decoded: the slot is created again. */
  slotIsUnreadable?: boolean;
  publications: readonly string[];
  graph: GraphOptions;
  /** Milliseconds after which nats-server has surely synced what it acknowledged. */
  syncDelay: number;
  /** Changes without a log row are events too. */
  publishSilent: boolean;
  onCommit: (handled: Handled, commit: Commit) => void;
  onContainers: (changes: readonly RowChange[]) => void;
  onReduced: (error: unknown) => void;
  /** A custom event has no route, since its writer has spent his allowance. */
  onDropped: () => void;
  /** A value of a row cannot be understood, and grants nothing. */
  onUnreadable: (table: TableName, column: string) => void;
  /** A barrier was passed after `waited` milliseconds. */
  onCut: (revision: Revision, waited: number) => void;
  onBeat: (beat: Beat) => void;
  /** A test's: called before each commit is handled. */
  onHandle?: (commit: Commit) => void;
  /** A row was larger than any that is of use: it denies. */
  onOver?: (row: { kind: string; uuid: string }) => void;
  /** false in a test, to show what the barrier is good for. */
  barrier?: boolean;
  /** false in a test, to show what the look at the catalogs is good for. */
  watched?: boolean;
  /** false in a test, to show what GRAPHLOG is good for: what comes again is routed by the graph of the present. */
  rollBack?: boolean;
};

export type Beat = {
  /** The graph is complete up to then (UTC ms). */
  time: number | null;
  /** What PostgreSQL has written, what of it is stored, and what it was told to forget. */
  flushed: Lsn;
  stored: Lsn;
  confirmed: Lsn;
};

export type Leader = Pick<Epoch, "epoch" | "reason"> & {
  revision: Revision;
  /** The graph's rows, as of the last commit taken. */
  state: GraphRowSet;
  /** Resolves with what ended the lead. */
  ended: Promise<Error>;
};

/** Resolves once commits flow. What it acquires is released by `scope`. */
export async function becomeLeader(options: LeaderOptions, scope: Scope): Promise<Leader> {
  const { now, database } = options;
  const { clusterId } = options.graph;
  const subjects = subjectsOf(clusterId);
  const failure = deferred<Error>();
  const fail = (error: unknown) => failure.resolve(error instanceof Error ? error : new Error(String(error)));

  const sql = await connectPostgres(database, fail);
  scope.defer("PostgreSQL connection", () => sql.end());
  // Before the look at what there is: what changes from here on shows.
  const [publication = "", logPublication = ""] = options.publications;
  const looks = await connectPostgres(database, fail);
  scope.defer("PostgreSQL connection for looks", () => looks.end());
  const catalogs = await CatalogWatch.begin(looks, database.schema ?? ALL_TABLES.schema, {
    publication,
    logPublication,
  });
  const tables = await preflight(sql, database, options.publications);
  const { isNew } = await ensureSlot(sql, options.slot, options.slotIsUnreadable);

  const clock = new BeatClock();
  const confirmer = new Confirmer(options.syncDelay);
  const toGraph = new PositionTracker((lsn) => clock.passed(lsn));
  const toAll = new PositionTracker();
  /** Nothing to say before commits flow. */
  let quiet: (lsn: Lsn) => void = () => {};
  const gate = deferred<(commit: Commit) => Promise<void>>();
  const replication = await openReplication({
    connection: database,
    slot: options.slot,
    publications: options.publications,
    schema: tables.schema,
    onCommit: async (commit) => (await gate.promise)(commit),
    onQuiet: (lsn) => quiet(lsn),
    onPassed: (lsn) => {
      toGraph.passed(lsn);
      toAll.passed(lsn);
    },
  });
  scope.defer("replication", () => replication.stop());
  void replication.ended.then((error) => fail(error ?? new Error("replication has ended")));
  // Read only now: an older leader may have confirmed until its last moment.
  const slot = { isNew, confirmed: await confirmedPosition(sql, options.slot) };
  let rate: CustomRate | null = null;
  const confirm = async (): Promise<Lsn> => {
    const confirmed = laterLsn(rate?.floor(confirmer.safe(now())) ?? 0n, slot.confirmed);
    // Also when nothing is new: PostgreSQL cuts a reader that says nothing. With the ping it answers how far it has read.
    await replication.confirm(confirmed, true);
    return confirmed;
  };
  const untilFlowing = setInterval(() => void confirm().catch(fail), BEAT_MS);
  scope.defer("confirmations", () => clearInterval(untilFlowing));

  const system = await identifySystem(database);
  const state = new GraphRowSet(clusterId, options.onUnreadable);
  const waitingContainers = new Map<string, QueueEntry>();
  const snapshot = await readSnapshot(sql, tables, (rows) => {
    state.apply(rows);
    for (const { table, row } of rows) {
      const { entry, waiting } = queueEntry(table === "containers" ? (row ?? {}) : {});
      if (waiting) waitingContainers.set(entry.uuid, entry);
    }
  });
  await lookUpOwners(sql, tables, state);

  const streams = await openStreams(options, { subjects, system, slot, catalogs: catalogs.fingerprint }, scope, fail);
  const { core, taken } = streams;
  const { epoch } = taken;
  const changes = graphDifference(taken.graphRows, state.all());
  const { undo, graphRows: rows } = taken;
  const until = snapshot.until;
  const past =
    undo && options.rollBack !== false
      ? new PastGraph({ clusterId, rows, undo, changes, until, lookUpOwners: (of) => lookUpOwners(sql, tables, of) })
      : null;
  const graph = new PermissionGraph(options.graph);
  graph.load(permissionChanges((past?.state ?? state).all()));

  const log = new GraphLogWriter(streams.graphLog, subjects, {
    epoch,
    upTo: taken.graphUpTo,
    floor: undo ? null : snapshot.text,
  });
  await log.say(taken.saidStored);
  const place = { epoch, system: { id: system.id, timeline: system.timeline } };
  const writer = new GraphWriter(streams.graph, log, subjects, place, options.onOver);
  const revision = await writer.write(changes, until, now());
  // GRAPHLOG has what led up to here as one change, so a restart on the way needs all commits of the way again.
  const asOne = log.upTo;
  await Promise.all([streams.graph.acknowledged(), streams.graphLog.acknowledged()]);

  const looked = new CatalogCheck(
    () => catalogs.unchanged(options.watched),
    () => records.release(),
    fail,
  );
  const records: RecordsWriter = new RecordsWriter(
    streams.records,
    () => writer.stored,
    (lsn) => looked.passed(lsn),
    (lsn) => toAll.close(lsn),
  );
  scope.defer("waiting records", () => records.close());
  const queue = new QueueWriter(streams.queue, subjects, records.barrier);
  if (options.barrier === false) records.barrier.cut({ epoch: Number.POSITIVE_INFINITY, sequence: 0 });
  let markedAt = now();
  const barrier = new BarrierClient({
    nc: core,
    js: jetstream(core),
    jsm: streams.coreJsm,
    subjects,
    barrier: records.barrier,
    onCut: (cut) => {
      options.onCut(cut, now() - markedAt);
      records.release();
      queue.release();
    },
  });
  scope.defer("barrier", () => barrier.stop());
  const mark = (at: Revision) => {
    markedAt = now();
    barrier.mark(at);
  };
  mark(revision);

  queue.bringIntoLine(streams.storedQueue, waitingContainers, revision);

  const { max_bytes, max_age } = (await streams.storeJsm.streams.info("RECORDS")).config;
  rate = new CustomRate({
    allowance: max_bytes > 0 && max_age > 0 ? customAllowance(max_bytes, max_age / 1e6) : Number.POSITIVE_INFINITY,
  });
  const handler = new CommitHandler(
    {
      epoch,
      state,
      graph,
      past,
      writer,
      records,
      queue,
      subjects,
      stored: taken.positionsHold ? taken.storedEvent : null,
      mark,
      lookUpOwners: () => lookUpOwners(sql, tables, state),
      lookUpRows: (uuids) => lookUpRows(sql, tables, uuids),
      lookUpPlaces: (uuids) => lookUpPlaces(streams.storeJsm, subjects, uuids),
      silent: options.publishSilent ? new SilentChanges() : null,
      onContainers: options.onContainers,
      rate,
      onDropped: options.onDropped,
      onReduced: options.onReduced,
      maxBody: Math.min(streams.maxPayload, MAX_BODY) - HEADER_BYTES,
      toGraph,
      toAll,
      now,
    },
    revision,
  );
  quiet = (lsn) => handler.quiet(lsn);
  const trouble = new TroubleRecord(taken.trouble, (it) => log.trouble(it));
  gate.resolve(async (commit) => {
    const { lsn, xid, logs } = commit;
    const inSnapshot = snapshot.contains(xid);
    if (inSnapshot && trouble.isHopeless(lsn))
      return options.onReduced(fault("commit.left_out", { lsn: formatLsn(lsn), rows: logs.length }));
    try {
      options.onHandle?.(commit);
      options.onCommit(await handler.handle(commit, inSnapshot), commit);
    } catch (error) {
      // Servers that refuse or are gone say nothing about the commit.
      if (!(error instanceof Fault)) await trouble.failed(lsn, error instanceof Error ? error.name : "unknown");
      throw error;
    }
  });

  clearInterval(untilFlowing);
  let said = { lsn: 0n, at: 0 };
  const beat = async () => {
    const time = now();
    const flushed = await catalogs.flushed(options.watched);
    clock.sample(time, flushed);
    const { frontier } = toAll;
    handler.passed(frontier);
    if (frontier >= asOne && time - said.at >= (frontier > said.lsn ? SAY_STORED_MS : REPEAT_STORED_MS)) {
      said = { lsn: frontier, at: time };
      await log.say(frontier, () => confirmer.stored(frontier, now()));
    }
    const confirmed = await confirm();
    sayBeat(core, subjects, clock.beat, writer.stored);
    options.onBeat({ time: clock.beat, flushed, stored: frontier, confirmed });
  };
  scope.defer("beat", repeat(beat, fail));
  return { epoch, reason: taken.reason, revision, state, ended: failure.promise };
}
