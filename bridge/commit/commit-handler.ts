/**
 * What happens to a commit, in this order: its graph changes are written to GRAPH; if they take a right away, a barrier is marked, and records
 * from this commit on wait behind it; QUEUE and the log follower get its containers; its events are routed by the graph as of this commit and
 * handed to RECORDS. `term.ts` creates one for each term and calls it with one commit at a time.
 */
import { setImmediate } from "node:timers/promises";
import type { PermissionGraph } from "../../core/graph/permission-graph.ts";
import type { Lsn } from "../../core/lsn.ts";
import type { Revision } from "../../core/revision.ts";
import { permissionChanges, type Replacement } from "../../core/rows.ts";
import { isRoleGroup } from "../../core/session/roles.ts";
import type { Subjects } from "../../core/subjects.ts";
import type { RowChange } from "../postgres/row.ts";
import type { PositionTracker } from "../progress/position-tracker.ts";
import type { GraphRowSet } from "../rows/graph-row-set.ts";
import { CHANGE_TYPES } from "../rows/log-row.ts";
import { applySliced, SLICE, slicesOf } from "../rows/slices.ts";
import { type StoredEvent, unitsOf } from "../streams/commit-units.ts";
import type { GraphWriter } from "../streams/graph-writer.ts";
import { MAX_UNIT } from "../streams/publisher.ts";
import type { QueueWriter } from "../streams/queue-writer.ts";
import type { RecordsWriter } from "../streams/records-writer.ts";
import type { Commit } from "./commit.ts";
import type { CustomRate } from "./custom-rate.ts";
import type { EventCounts, EventRouter } from "./event-router.ts";
import type { PastGraph } from "./past-graph.ts";
import { endsSessions, removesRights } from "./removal.ts";

export type CommitHandlerParts = {
  epoch: number;
  /** The rows that GRAPH holds. */
  state: GraphRowSet;
  /** What events are routed by: these rows, or those of `past` while there is one. */
  graph: PermissionGraph;
  /** Repeated commits are routed by this; null = by `graph` as it was read. */
  past: PastGraph | null;
  writer: GraphWriter;
  records: RecordsWriter;
  queue: QueueWriter;
  router: EventRouter;
  rate: CustomRate;
  subjects: Subjects;
  /** The last event in RECORDS; null = RECORDS holds nothing of this database. */
  stored: StoredEvent | null;
  /** Marks a barrier at this revision, which GRAPH has acknowledged. */
  mark: (revision: Revision) => void;
  lookUpOwners: () => Promise<Replacement[]>;
  /** Rows of containers and their requests have changed, and `state` holds the changes. */
  onContainers: (changes: readonly RowChange[]) => void;
  /** Bytes of an event's body that nats-server accepts. */
  maxBody: number;
  /** Commits under way to GRAPH, and to any stream. */
  progress: { toGraph: PositionTracker; toAll: PositionTracker };
  now: () => number;
};

/** The result of a commit. */
export type Handled = EventCounts & { revision: Revision };

export class CommitHandler {
  readonly #parts: CommitHandlerParts;
  /** The last removal: what is committed from there on waits for its enforcement. */
  #behind: Revision;
  #past: PastGraph | null;
  /** The graph changes of the current commit are written, however long the rest of it takes. */
  #hasGraph = true;

  /** @param behind nothing is published before every session has this revision or a newer one: nobody knows what happened before the start */
  constructor(parts: CommitHandlerParts, behind: Revision) {
    this.#parts = parts;
    this.#behind = behind;
    this.#past = parts.past;
  }

  /** @param inSnapshot the graph was read after this commit, so it holds its changes already */
  async handle(commit: Commit, inSnapshot: boolean): Promise<Handled> {
    const { lsn } = commit;
    const { writer, progress, rate } = this.#parts;
    this.#hasGraph = false;
    this.passed(lsn - 1n);
    await this.#repeatPast(commit);
    if (!inSnapshot) {
      await this.#applyGraph(commit);
      await this.#publishContainers(commit);
    }
    this.#hasGraph = true;
    progress.toGraph.passed(lsn);
    const counts = { events: 0, untrue: commit.badLogs };
    if (this.#isStored(lsn)) await this.#recount(commit);
    else await this.#publish(commit, writer.revision, counts);
    rate.passed(commit.time);
    return { revision: writer.revision, ...counts };
  }

  /** PostgreSQL says: up to `lsn` there are no commits but those that were handed over. */
  quiet(lsn: Lsn): void {
    if (this.#hasGraph) this.#parts.progress.toGraph.passed(lsn);
  }

  /** All commits up to `lsn` have been handled. Behind the end of the past, the present graph routes. */
  passed(lsn: Lsn): void {
    if (this.#past === null || lsn < this.#past.until) return;
    const { graph, state } = this.#parts;
    graph.apply(permissionChanges(this.#past.changesTo(state)));
    this.#past = null;
  }

  /** The position that PostgreSQL may forget where everything up to `safe` is stored for good: no commit before it is needed to judge one after it. */
  floor(safe: Lsn): Lsn {
    return this.#parts.rate.floor(safe);
  }

  /** Brings the past graph to this commit, where one routes. */
  async #repeatPast(commit: Commit): Promise<void> {
    if (!this.#past) return;
    const changes = await this.#past.repeat(commit);
    this.#parts.router.noteReplaced(changes);
    this.#parts.graph.apply(permissionChanges(changes));
  }

  async #applyGraph(commit: Commit): Promise<void> {
    const changes = await applySliced(this.#parts.state, commit.rows);
    if (!this.#past) this.#parts.router.noteReplaced(changes);
    if (changes.length > 0) await this.#writeGraph(commit, changes);
  }

  async #writeGraph(commit: Commit, changes: Replacement[]): Promise<void> {
    const { writer, mark, lookUpOwners, records, progress } = this.#parts;
    const { toGraph, toAll } = progress;
    changes.push(...(await lookUpOwners()));
    this.#past?.noteDiffering(changes);
    const isRemoval = this.#isRemoval(changes);
    const { lsn } = commit;
    toGraph.open(lsn);
    // One part for GRAPHLOG, one for GRAPH.
    toAll.open(lsn);
    toAll.open(lsn);
    const onStored = () => {
      if (isRemoval) mark(revision);
      toGraph.close(lsn);
      toAll.close(lsn);
      records.release();
    };
    const revision: Revision = await writer.write(changes, lsn, commit.time, onStored, () => toAll.close(lsn));
    if (isRemoval) this.#behind = revision;
  }

  /** Applies the changes to the graph. A past graph cannot show who loses what, so any change may be a removal while one routes. */
  #isRemoval(changes: Replacement[]): boolean {
    if (this.#past !== null) return true;
    const { state, graph } = this.#parts;
    const isRole = (group: string) => isRoleGroup(state.row("group", group) ?? null);
    return (
      removesRights(graph.apply(permissionChanges(changes))) || changes.some((change) => endsSessions(change, isRole))
    );
  }

  /** Passes containers and container requests to QUEUE and to the log follower. */
  async #publishContainers({ rows, lsn }: Commit): Promise<void> {
    const { queue, progress, onContainers } = this.#parts;
    if (!rows.has("containers") && !rows.has("container_requests")) return;
    for (const changes of slicesOf(rows)) {
      const concerned = changes.filter(({ table }) => table === "containers" || table === "container_requests");
      queue.enqueue(
        concerned,
        this.#behind,
        () => progress.toAll.open(lsn),
        () => progress.toAll.close(lsn),
      );
      await queue.room();
      onContainers(concerned);
      if (changes.length === SLICE) await setImmediate();
    }
  }

  #isStored(lsn: Lsn): boolean {
    const { stored } = this.#parts;
    return stored !== null && (lsn < stored.lsn || (lsn === stored.lsn && stored.isWhole));
  }

  async #publish(commit: Commit, revision: Revision, counts: EventCounts): Promise<void> {
    const { epoch, records, router, stored, subjects, progress, maxBody } = this.#parts;
    const { lsn, time, logs, rows } = commit;
    if (logs.length === 0 && !router.routesSilent) return;
    const partly = stored?.lsn === lsn ? stored : null;
    await rows.prepare();
    const events = router.route(commit, this.#view(commit), counts);
    for await (const messages of unitsOf({ epoch, lsn, time, revision, maxBody }, events, subjects, MAX_UNIT, partly)) {
      progress.toAll.open(lsn);
      await records.enqueue({ lsn, revision, behind: this.#behind, messages });
    }
  }

  /** Routes a stored commit again where it has custom events: they count for the later ones of the same window. */
  async #recount(commit: Commit): Promise<void> {
    let hasCustom = false;
    for (const { event_type } of commit.logs) hasCustom ||= !CHANGE_TYPES.has(event_type);
    if (!hasCustom) return;
    await commit.rows.prepare();
    for await (const _ of this.#parts.router.route(commit, this.#view(commit), { events: 0, untrue: 0 }));
  }

  #view(commit: Commit) {
    const { state, now } = this.#parts;
    return this.#past ? { state: this.#past.state, at: commit.time } : { state, at: now() };
  }
}
