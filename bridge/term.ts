/**
 * The time for which this bridge is the leader. PostgreSQL admits one reader of the replication slot, so the slot is the leader lock.
 *
 *   prepare ─► read the snapshot ─► take the streams over, decide the epoch ─► publish the graph ─► barrier ─► commits flow
 *
 * Commits arrive from the first step on and wait until they flow. A commit that the snapshot contains already changes GRAPH no more; its
 * events are published unless RECORDS has them, routed by the graph at its time. `leader.ts` begins a term and ends it by closing `scope`.
 */
import { jetstream } from "@nats-io/jetstream";
import { Fault, fault } from "../core/errors.ts";
import { PermissionGraph } from "../core/graph/permission-graph.ts";
import type { GraphOptions } from "../core/graph-types.ts";
import { formatLsn, type Lsn } from "../core/lsn.ts";
import type { Revision } from "../core/revision.ts";
import { permissionChanges } from "../core/rows.ts";
import { type Subjects, subjectsOf } from "../core/subjects.ts";
import { deferred } from "../runtime/deferred.ts";
import type { Scope } from "../runtime/scope.ts";
import { STREAM_PROFILES } from "../streams-config/streams.ts";
import { CatalogCheck } from "./commit/catalog-check.ts";
import type { Commit } from "./commit/commit.ts";
import type { CommitHandler, Handled } from "./commit/commit-handler.ts";
import { CustomRate, customAllowance } from "./commit/custom-rate.ts";
import { EventRouter } from "./commit/event-router.ts";
import type { PastGraph } from "./commit/past-graph.ts";
import { SilentChanges } from "./commit/silent-changes.ts";
import type { RowChange } from "./postgres/row.ts";
import { readSnapshot, type Snapshot } from "./postgres/snapshot.ts";
import type { TableName } from "./postgres/tables.ts";
import { publishBeat } from "./progress/beat.ts";
import { type Beat, Progress } from "./progress/progress.ts";
import { GraphRowSet } from "./rows/graph-row-set.ts";
import { lookUpOwners, lookUpRows } from "./rows/owner-lookup.ts";
import { openSource, type Source, type SourceOptions } from "./source.ts";
import { BarrierClient } from "./streams/barrier-client.ts";
import { GraphLogWriter } from "./streams/graph-log-writer.ts";
import { GraphWriter } from "./streams/graph-writer.ts";
import { FailureRecord } from "./streams/handling-failure.ts";
import { type QueueEntry, QueueWriter, queueEntry } from "./streams/queue-writer.ts";
import { RecordsWriter } from "./streams/records-writer.ts";
import type { Epoch } from "./takeover/epoch.ts";
import { lookUpLastOwners } from "./takeover/stored-owners.ts";
import { graphDifference } from "./takeover/stored-state.ts";
import { openStreams, type StreamsOptions, type TermStreams } from "./takeover/term-streams.ts";

/** Bytes of a message that RECORDS accepts, and how many of them subject and headers may need. */
const MAX_BODY = STREAM_PROFILES.single.maxMsgSize;
const HEADER_BYTES = 8 * 1024;

/** What a term reports. */
export type TermListener = Pick<StreamsOptions, "onPublished"> & {
  onCommit: (handled: Handled, commit: Commit) => void;
  /** Rows of containers and their requests have changed, and the graph's rows hold the changes. */
  onContainers: (changes: readonly RowChange[]) => void;
  /** Events were left out because handling failed. */
  onReduced: (error: unknown) => void;
  /** A custom event has no route because its writer has spent the allowance. */
  onDropped: () => void;
  /** An event lacks a route because its object is nested too deep. */
  onTooDeep: (uuid: string) => void;
  /** A value of a row cannot be understood, and grants nothing. */
  onUnreadable: (table: TableName, column: string) => void;
  /** A row is too large for GRAPH, and grants nothing. */
  onOver: (row: { kind: string; uuid: string }) => void;
  /** The removal at this revision was enforced `waited` milliseconds after its mark. */
  onCut: (revision: Revision, waited: number) => void;
  onBeat: (beat: Beat) => void;
};

export type TermOptions = Omit<StreamsOptions, "onPublished" | "fence"> &
  SourceOptions & {
    graph: GraphOptions;
    /** Milliseconds after which nats-server has synced what it acknowledged. */
    syncDelay: number;
    /** Row changes without a log row make events too. */
    publishSilent: boolean;
    listener: TermListener;
  };

/** A term whose commits flow. */
export type RunningTerm = Pick<Epoch, "epoch" | "reason"> & {
  /** Of the graph that it began with. */
  revision: Revision;
  /** The graph's rows as of the last handled commit. */
  state: GraphRowSet;
  /** Resolves with the error that ended the term. */
  ended: Promise<Error>;
};

/** The database as the snapshot shows it. */
type DatabaseRows = { snapshot: Snapshot; state: GraphRowSet; containers: Map<string, QueueEntry> };

/** GRAPH, brought to the snapshot. */
type PublishedGraph = {
  /** Routes events: it holds the rows of the snapshot, or those of `past`. */
  graph: PermissionGraph;
  past: PastGraph | null;
  log: GraphLogWriter;
  writer: GraphWriter;
  revision: Revision;
  /** GRAPHLOG has the change up to here as one step, so a restart before it needs all commits up to here again. */
  upTo: Lsn;
};

/** What follows the graph and waits for the barrier. */
type Outlets = { records: RecordsWriter; queue: QueueWriter; mark: (revision: Revision) => void };

export class Term {
  readonly #options: TermOptions;
  readonly #scope: Scope;
  readonly #subjects: Subjects;
  readonly #progress: Progress;
  readonly #ended = deferred<Error>();
  /** Handles one commit. Replication waits for it. */
  readonly #handling = deferred<(commit: Commit) => Promise<void>>();
  #handler: CommitHandler | null = null;
  #endKeepAlive = (): void => {};

  constructor(options: TermOptions, scope: Scope) {
    this.#options = options;
    this.#scope = scope;
    this.#subjects = subjectsOf(options.graph.clusterId);
    this.#progress = new Progress(options);
  }

  /** Resolves once commits flow. `scope` releases what the term acquires. */
  async begin(): Promise<RunningTerm> {
    const source = await this.#prepare();
    const rows = await this.#readSnapshot(source);
    const streams = await this.#takeOver(source);
    const published = await this.#publishGraph(source, rows, streams);
    const outlets = this.#openBarrier(source, streams, published);
    outlets.queue.bringIntoLine(streams.storedQueue, rows.containers, published.revision);
    const handler = await this.#createHandler(source, rows, streams, published, outlets);
    this.#flow(source, rows, streams, published, handler);
    const { epoch, reason } = streams.takenOver;
    return { epoch, reason, revision: published.revision, state: rows.state, ended: this.#ended.promise };
  }

  readonly #fail = (error: unknown): void => {
    this.#ended.resolve(error instanceof Error ? error : new Error(String(error)));
  };

  async #prepare(): Promise<Source> {
    const source = await openSource(
      this.#options,
      {
        onCommit: async (commit) => (await this.#handling.promise)(commit),
        onQuiet: (lsn) => this.#handler?.quiet(lsn),
        onPassed: (lsn) => this.#progress.passed(lsn),
        onLost: this.#fail,
      },
      this.#scope,
    );
    this.#endKeepAlive = this.#progress.keepAlive(source.replication, source.slot.confirmed, this.#fail);
    this.#scope.defer("confirmations", this.#endKeepAlive);
    return source;
  }

  async #readSnapshot({ sql, tables }: Source): Promise<DatabaseRows> {
    const { graph, listener } = this.#options;
    const state = new GraphRowSet(graph.clusterId, listener.onUnreadable);
    const containers = new Map<string, QueueEntry>();
    const snapshot = await readSnapshot(sql, tables, (rows) => {
      state.apply(rows);
      for (const { table, row } of rows) {
        const { entry, waiting } = queueEntry(table === "containers" ? (row ?? {}) : {});
        if (waiting) containers.set(entry.uuid, entry);
      }
    });
    await lookUpOwners(sql, tables, state);
    return { snapshot, state, containers };
  }

  #takeOver({ system, slot, catalogs }: Source): Promise<TermStreams> {
    const { guards, listener } = this.#options;
    const options = { ...this.#options, fence: guards.fence, onPublished: listener.onPublished };
    const found = { subjects: this.#subjects, system, slot, catalogs: catalogs.fingerprint };
    return openStreams(options, found, this.#scope, this.#fail);
  }

  async #publishGraph(
    { sql, tables, system }: Source,
    { snapshot, state }: DatabaseRows,
    streams: TermStreams,
  ): Promise<PublishedGraph> {
    const { guards, now, listener, graph: options } = this.#options;
    const { epoch, graphRows, undo, graphUpTo, declaredStored } = streams.takenOver;
    const { until } = snapshot;
    const changes = graphDifference(graphRows, state.all());
    const past =
      undo &&
      guards.createPastGraph({
        clusterId: options.clusterId,
        rows: graphRows,
        undo,
        changes,
        until,
        lookUpOwners: (of) => lookUpOwners(sql, tables, of),
      });
    const graph = new PermissionGraph(options);
    graph.load(permissionChanges((past?.state ?? state).all()));

    const logOptions = { epoch, upTo: graphUpTo, floor: undo ? null : snapshot.text };
    const log = new GraphLogWriter(streams.graphLog, this.#subjects, logOptions);
    await log.publishStored(declaredStored);
    const origin = { epoch, system: { id: system.id, timeline: system.timeline } };
    const writer = new GraphWriter(streams.graph, log, this.#subjects, origin, listener.onOver);
    const revision = await writer.write(changes, until, now());
    const { upTo } = log;
    await Promise.all([streams.graph.acknowledged(), streams.graphLog.acknowledged()]);
    return { graph, past, log, writer, revision, upTo };
  }

  /** Marks the barrier at the published graph: records wait until no session is older. */
  #openBarrier({ catalogs }: Source, streams: TermStreams, { writer, revision }: PublishedGraph): Outlets {
    const { guards, listener, now } = this.#options;
    const barrier = guards.createBarrier();
    const check = new CatalogCheck(
      () => catalogs.unchanged(),
      () => records.release(),
      this.#fail,
    );
    const records: RecordsWriter = new RecordsWriter({
      publisher: streams.records,
      barrier,
      graphStored: () => writer.stored,
      isChecked: (lsn) => check.passed(lsn),
      onStored: (lsn) => this.#progress.toAll.close(lsn),
    });
    this.#scope.defer("waiting records", () => records.close());
    const queue = new QueueWriter(streams.queue, this.#subjects, barrier);
    let markedAt = 0;
    const client = new BarrierClient({
      nc: streams.core,
      js: jetstream(streams.core),
      jsm: streams.coreJsm,
      subjects: this.#subjects,
      barrier,
      onCut: (cut) => {
        listener.onCut(cut, now() - markedAt);
        records.release();
        queue.release();
      },
    });
    this.#scope.defer("barrier", () => client.stop());
    const mark = (at: Revision) => {
      markedAt = now();
      client.mark(at);
    };
    mark(revision);
    return { records, queue, mark };
  }

  async #createHandler(
    { sql, tables }: Source,
    { state }: DatabaseRows,
    streams: TermStreams,
    { graph, past, writer, revision }: PublishedGraph,
    outlets: Outlets,
  ): Promise<CommitHandler> {
    const { guards, listener, now, publishSilent } = this.#options;
    const { epoch, positionsHold, storedEvent } = streams.takenOver;
    const { max_bytes, max_age } = (await streams.storeJsm.streams.info("RECORDS")).config;
    const subjects = this.#subjects;
    const rate = new CustomRate({ allowance: customAllowance(max_bytes, max_age / 1e6) });
    const router = new EventRouter({
      graph,
      subjects,
      lookUpRows: (uuids) => lookUpRows(sql, tables, uuids),
      lookUpLastOwners: (uuids, before) => lookUpLastOwners(streams.storeJsm, subjects, uuids, before),
      silent: publishSilent ? new SilentChanges() : null,
      rate,
      ...listener,
    });
    const parts = {
      epoch,
      state,
      graph,
      past,
      writer,
      ...outlets,
      router,
      rate,
      subjects,
      stored: positionsHold ? storedEvent : null,
      lookUpOwners: () => lookUpOwners(sql, tables, state),
      onContainers: listener.onContainers,
      maxBody: Math.min(streams.maxPayload, MAX_BODY) - HEADER_BYTES,
      progress: this.#progress,
      now,
    };
    return guards.createHandler(parts, revision);
  }

  /** From now on commits are handled, and beats say how far they are. */
  #flow(
    { catalogs, replication, slot }: Source,
    { snapshot }: DatabaseRows,
    { core, takenOver }: TermStreams,
    { log, writer, upTo }: PublishedGraph,
    handler: CommitHandler,
  ): void {
    const failures = new FailureRecord(takenOver.failure, (failure) => log.publishFailure(failure));
    this.#handler = handler;
    this.#handling.resolve((commit) => this.#handle(commit, handler, snapshot, failures));
    this.#endKeepAlive();
    const parts = {
      readFlushed: () => catalogs.flushed(),
      onStored: (lsn: Lsn) => handler.passed(lsn),
      publishFrom: upTo,
      publishStored: (lsn: Lsn, onAcknowledged: () => void) => log.publishStored(lsn, onAcknowledged),
      floor: (safe: Lsn) => handler.floor(safe),
      publishBeat: (time: number | null) => publishBeat(core, this.#subjects, time, writer.stored),
      onBeat: this.#options.listener.onBeat,
    };
    this.#scope.defer("beat", this.#progress.startBeats(replication, slot.confirmed, parts, this.#fail));
  }

  async #handle(commit: Commit, handler: CommitHandler, snapshot: Snapshot, failures: FailureRecord): Promise<void> {
    const { listener } = this.#options;
    const { lsn, xid, logs } = commit;
    const inSnapshot = snapshot.contains(xid);
    // Its graph changes are in the snapshot, so only its events are left out.
    if (inSnapshot && failures.isHopeless(lsn)) {
      return listener.onReduced(fault("commit.left_out", { lsn: formatLsn(lsn), rows: logs.length }));
    }
    try {
      listener.onCommit(await handler.handle(commit, inSnapshot), commit);
    } catch (error) {
      // A server that refuses or is gone is not the commit's fault.
      if (!(error instanceof Fault)) await failures.failed(lsn, error instanceof Error ? error.name : "unknown");
      throw error;
    }
  }
}
