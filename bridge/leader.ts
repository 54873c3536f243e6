/**
 * The bridge while it holds the replication slot, which is the leader lock: PostgreSQL admits one reader.
 *
 *   slot taken ─► graph read as of a snapshot ─► streams read back, epoch decided ─► streams brought into line ─► barrier ─► commits flow
 *
 * Commits arrive while all this goes on; they wait behind the gate. Those that the snapshot already contains change the graph no
 * more, but their events are published unless RECORDS has them.
 */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { fault } from "../core/errors.ts";
import { PermissionGraph } from "../core/graph/permission-graph.ts";
import type { GraphOptions } from "../core/graph/types.ts";
import { type Lsn, laterLsn } from "../core/lsn.ts";
import type { Revision } from "../core/revision.ts";
import { isPermissionChange } from "../core/rows.ts";
import { subjectsOf } from "../core/subjects.ts";
import { deferred } from "../runtime/deferred.ts";
import type { Scope } from "../runtime/scope.ts";
import { serviceInbox } from "../streams-config/accounts.ts";
import { BarrierClient } from "./barrier-client.ts";
import { BEAT_MS, flushedLsn, repeat, sayBeat } from "./beat.ts";
import { BeatClock } from "./beat-clock.ts";
import type { Commit } from "./commit.ts";
import { CommitHandler, type Handled } from "./commit-handler.ts";
import { Confirmer } from "./confirmer.ts";
import type { Epoch, StreamEnds } from "./epoch.ts";
import { GraphState } from "./graph-state.ts";
import { GraphWriter } from "./graph-writer.ts";
import { lookUpOwners, lookUpRows } from "./owner-lookup.ts";
import { PositionTracker } from "./position-tracker.ts";
import { connectPostgres, type DatabaseTarget, preflight } from "./preflight.ts";
import { FencedPublisher } from "./publisher.ts";
import { type QueueEntry, QueueWriter, queueEntry } from "./queue-writer.ts";
import { RecordsWriter } from "./records-writer.ts";
import { openReplication } from "./replication.ts";
import { SilentChanges } from "./silent-changes.ts";
import { ensureSlot, identifySystem } from "./slot.ts";
import { readSnapshot } from "./snapshot.ts";
import { graphDifference, readStoredQueue } from "./stored-state.ts";
import { takeOver } from "./take-over.ts";

export type LeaderOptions = {
  /** Opens a connection of this term's own: when it breaks the term is over, and nothing of it is sent later. */
  connect: (account: "CORE" | "STORE", scope: Scope) => Promise<NatsConnection>;
  database: DatabaseTarget;
  slot: string;
  publications: readonly string[];
  graph: GraphOptions;
  /** Milliseconds after which nats-server has surely synced what it acknowledged. */
  syncDelay: number;
  /** Changes without a log row are events too. */
  publishSilent: boolean;
  /** What this process saw acknowledged in the terms before; written at the end of this one. */
  witness: { ends: StreamEnds | null };
  now: () => number;
  onCommit: (handled: Handled, commit: Commit) => void;
  onPublished: (stream: string, messages: number, isBatch: boolean) => void;
  /** A barrier was passed after `waited` milliseconds. */
  onCut: (revision: Revision, waited: number) => void;
  onBeat: (beat: Beat) => void;
  /** false in a test, to show what the fence is good for. */
  fenced?: boolean;
  /** false in a test, to show what the barrier is good for. */
  barrier?: boolean;
};

export type Beat = {
  /** The graph is complete up to then (UTC ms). */
  time: number | null;
  /** What PostgreSQL has written, what of it is stored, and what it was told to forget. */
  flushed: Lsn;
  stored: Lsn;
  confirmed: Lsn;
};

export type Leader = Epoch & {
  revision: Revision;
  /** The graph's rows, as of the last commit taken. */
  state: GraphState;
  /** Resolves with what ended the lead. */
  ended: Promise<Error>;
};

/** Resolves once commits flow. What it acquires is released by `scope`. */
export async function becomeLeader(options: LeaderOptions, scope: Scope): Promise<Leader> {
  const { now, database, witness } = options;
  const { clusterId } = options.graph;
  const subjects = subjectsOf(clusterId);
  const failure = deferred<Error>();
  const fail = (error: unknown) => failure.resolve(error instanceof Error ? error : new Error(String(error)));

  const sql = await connectPostgres(database, fail);
  scope.defer("PostgreSQL connection", () => sql.end());
  await preflight(sql, database, options.publications);
  const slot = await ensureSlot(sql, options.slot);

  const clock = new BeatClock();
  const confirmer = new Confirmer(options.syncDelay);
  const toGraph = new PositionTracker((lsn) => clock.passed(lsn));
  const toAll = new PositionTracker((lsn) => confirmer.stored(lsn, now()));
  const gate = deferred<(commit: Commit) => Promise<void>>();
  const replication = await openReplication({
    connection: { ...database, application_name: "arvados-nats bridge" },
    slot: options.slot,
    publications: options.publications,
    onCommit: async (commit) => (await gate.promise)(commit),
    onPassed: (lsn) => {
      toGraph.passed(lsn);
      toAll.passed(lsn);
    },
  });
  scope.defer("replication", () => replication.stop());
  void replication.ended.then((error) => fail(error ?? new Error("replication has ended")));
  const confirm = async (): Promise<Lsn> => {
    const confirmed = laterLsn(confirmer.safe(now()), slot.confirmed);
    // Also when nothing is new: PostgreSQL cuts a reader that says nothing. With the ping it answers how far it has read.
    await replication.confirm(confirmed, true);
    return confirmed;
  };
  const untilFlowing = setInterval(() => void confirm().catch(fail), BEAT_MS);
  scope.defer("confirmations", () => clearInterval(untilFlowing));

  const system = await identifySystem(database);
  const [core, store] = await Promise.all([connected("CORE"), connected("STORE")]);
  const [coreJsm, storeJsm] = await Promise.all([jetstreamManager(core), jetstreamManager(store)]);

  const state = new GraphState(clusterId);
  const waitingContainers = new Map<string, QueueEntry>();
  const snapshot = await readSnapshot(sql, (rows) => {
    state.apply(rows);
    for (const { table, row } of rows) {
      const { entry, waiting } = queueEntry(table === "containers" ? (row ?? {}) : {});
      if (waiting) waitingContainers.set(entry.uuid, entry);
    }
  });
  await lookUpOwners(sql, state);
  const graph = new PermissionGraph(options.graph);
  graph.load([...state.all()].filter(isPermissionChange));

  const taken = await takeOver({ core, store, coreJsm, storeJsm, subjects, system, slot, witnessed: witness.ends });
  const publisher = (nc: NatsConnection, stream: string, lastSequence: number) => {
    const { fenced = true } = options;
    const made = new FencedPublisher(
      { nc, stream, lastSequence, inboxPrefix: serviceInbox("bridge"), now, onFailed: fail, fenced },
      (messages, isBatch) => options.onPublished(stream, messages, isBatch),
    );
    scope.defer(`publisher of ${stream}`, () => made.close());
    return made;
  };
  const toGraphStream = publisher(core, "GRAPH", taken.graphSequence);
  const toRecords = publisher(store, "RECORDS", taken.recordsSequence);
  const storedQueue = await readStoredQueue(jetstream(store), storeJsm);
  const toQueue = publisher(store, "QUEUE", storedQueue.lastSequence);
  scope.defer("witness", () => {
    witness.ends = { graph: toGraphStream.storedSequence, records: toRecords.storedSequence };
  });

  const { epoch } = taken;
  const writer = new GraphWriter(toGraphStream, subjects, {
    epoch,
    system: { id: system.id, timeline: system.timeline },
  });
  const revision = await writer.write(graphDifference(taken.graphRows, state.all()), system.lsn, now(), () => {});
  await toGraphStream.settled();

  const records = new RecordsWriter(
    toRecords,
    () => writer.stored,
    (lsn) => toAll.close(lsn),
  );
  if (options.barrier === false) records.barrier.cut({ epoch: Number.POSITIVE_INFINITY, sequence: 0 });
  let markedAt = now();
  const barrier = new BarrierClient({
    nc: core,
    js: jetstream(core),
    jsm: coreJsm,
    subjects,
    barrier: records.barrier,
    onCut: (cut) => {
      options.onCut(cut, now() - markedAt);
      records.release();
    },
  });
  scope.defer("barrier", () => barrier.stop());
  const mark = (at: Revision) => {
    markedAt = now();
    barrier.mark(at);
  };
  mark(revision);

  const queue = new QueueWriter(toQueue, subjects);
  queue.bringIntoLine(storedQueue.entries, waitingContainers);
  await toQueue.settled();

  const handler = new CommitHandler(
    {
      epoch,
      state,
      graph,
      writer,
      records,
      queue,
      subjects,
      stored: taken.positionsHold ? taken.storedEvent : null,
      mark,
      lookUpOwners: () => lookUpOwners(sql, state),
      lookUpRows: (uuids) => lookUpRows(sql, uuids),
      silent: options.publishSilent ? new SilentChanges() : null,
      toGraph,
      toAll,
      now,
    },
    revision,
  );
  gate.resolve(async (commit) => {
    options.onCommit(await handler.handle(commit, snapshot.contains(commit.xid)), commit);
  });

  clearInterval(untilFlowing);
  const beat = async () => {
    const time = now();
    const flushed = await flushedLsn(sql);
    clock.sample(time, flushed);
    const confirmed = await confirm();
    sayBeat(core, subjects, clock.beat, writer.stored);
    options.onBeat({ time: clock.beat, flushed, stored: toAll.frontier, confirmed });
  };
  scope.defer("beat", repeat(beat, fail));
  return { ...taken, revision, state, ended: failure.promise };

  async function connected(account: "CORE" | "STORE"): Promise<NatsConnection> {
    const nc = await options.connect(account, scope);
    void (async () => {
      for await (const status of nc.status()) {
        if (status.type === "disconnect") return fail(fault("nats.lost", { account }));
      }
    })();
    return nc;
  }
}
