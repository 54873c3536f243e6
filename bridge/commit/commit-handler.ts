/**
 * What happens to a commit: its graph changes go to GRAPH; if they take a right away, a barrier is marked, and records from
 * this commit on wait behind it; then its events are routed by the graph as of this commit.
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
import { claimsUnknownMove, type EventToRoute, eventsOf, type LookedUp, objectToLookUp } from "../rows/event.ts";
import type { GraphRowSet } from "../rows/graph-row-set.ts";
import { LastOwners } from "../rows/last-owners.ts";
import { CHANGE_TYPES, type LogRow } from "../rows/log-row.ts";
import { applySliced, SLICE, slicesOf } from "../rows/slices.ts";
import { type RoutedEvent, type StoredEvent, unitsOf } from "../streams/commit-units.ts";
import type { GraphWriter } from "../streams/graph-writer.ts";
import { MAX_UNIT } from "../streams/publisher.ts";
import type { QueueWriter } from "../streams/queue-writer.ts";
import type { RecordsWriter } from "../streams/records-writer.ts";
import type { Commit } from "./commit.ts";
import { type CustomRate, customBytes, customGap } from "./custom-rate.ts";
import type { PastGraph } from "./past-graph.ts";
import { endsSessions, removesRights } from "./removal.ts";
import type { SilentChanges } from "./silent-changes.ts";

export type CommitHandlerParts = {
  epoch: number;
  /** The rows that GRAPH holds. */
  state: GraphRowSet;
  /** What routes: of these rows, or of the past while there is one. */
  graph: PermissionGraph;
  /** Commits that come again are routed by this; null = by the graph as it was read. */
  past: PastGraph | null;
  writer: GraphWriter;
  records: RecordsWriter;
  queue: QueueWriter;
  subjects: Subjects;
  /** Where RECORDS ends; null = nothing of this database is in it. */
  stored: StoredEvent | null;
  /** Marks a barrier at this revision, which GRAPH has acknowledged. */
  mark: (revision: Revision) => void;
  lookUpOwners: () => Promise<Replacement[]>;
  lookUpRows: (uuids: readonly string[]) => Promise<LookedUp>;
  /** Owners of objects by the last events about them that RECORDS holds. */
  lookUpPlaces: (uuids: readonly string[]) => Promise<ReadonlyMap<string, string>>;
  /** Row changes that no log row tells of; null = they are no events. */
  silent: SilentChanges | null;
  /** Rows of containers and their requests have changed, and the graph's rows hold that. */
  onContainers: (changes: readonly RowChange[]) => void;
  /** How much of RECORDS each user fills with custom events. */
  rate: CustomRate;
  /** A custom event has no route, since its writer has spent his allowance. */
  onDropped: () => void;
  /** Bytes of an event's body that nats-server surely takes. */
  maxBody: number;
  /** A log row could not be made an event, which is a fault of ours: it costs that event. */
  onReduced: (error: unknown) => void;
  /** What is under way to GRAPH, and to any stream. */
  toGraph: PositionTracker;
  toAll: PositionTracker;
  now: () => number;
};

/** What became of a commit; `events` counts those with a route, `untrue` log rows that nothing stands behind. */
export type Handled = { revision: Revision; events: number; untrue: number };

export class CommitHandler {
  readonly #parts: CommitHandlerParts;
  /** The last removal: what is committed from there on waits for its enforcement. */
  #behind: Revision;
  #past: PastGraph | null;
  readonly #places = new LastOwners();
  /** What the last commit changes in the graph is handed over, whatever else is being done for it. */
  #hasGraph = true;

  /** @param behind whatever happened before this start: nothing is published before every session is of this revision or newer */
  constructor(parts: CommitHandlerParts, behind: Revision) {
    this.#parts = parts;
    this.#behind = behind;
    this.#past = parts.past;
  }

  /** @param inSnapshot the graph was read after this commit, so it holds its changes already */
  async handle(commit: Commit, inSnapshot: boolean): Promise<Handled> {
    const { writer, stored, toGraph } = this.#parts;
    this.#hasGraph = false;
    this.passed(commit.lsn - 1n);
    await this.#repeatPast(commit);
    const { lsn } = commit;
    if (!inSnapshot) {
      await this.#applyGraph(commit);
      await this.#tellContainers(commit);
    }
    // The graph is complete up to here, however long it takes to route what the commit did.
    this.#hasGraph = true;
    toGraph.passed(lsn);
    const counts = { events: 0, untrue: commit.badLogs };
    const isThere = stored !== null && (lsn < stored.lsn || (lsn === stored.lsn && stored.isWhole));
    if (!isThere) await this.#publish(commit, writer.revision, counts);
    else await this.#recount(commit);
    this.#parts.rate.passed(commit.time);
    return { revision: writer.revision, ...counts };
  }

  /** Nothing was committed up to `lsn` but what has been handled, or is being handled. */
  quiet(lsn: Lsn): void {
    if (this.#hasGraph) this.#parts.toGraph.passed(lsn);
  }

  /** All commits up to `lsn` have been handled: what comes from there on may be routed by the graph of the present. */
  passed(lsn: Lsn): void {
    if (this.#past === null || lsn < this.#past.until) return;
    const { graph, state } = this.#parts;
    graph.apply(permissionChanges(this.#past.changesTo(state)));
    this.#past = null;
  }

  /** Brings the graph that routes to this commit, where that is a graph of the past. */
  async #repeatPast(commit: Commit): Promise<void> {
    if (!this.#past) return;
    const changes = await this.#past.repeat(commit);
    this.#places.replaced(changes);
    this.#parts.graph.apply(permissionChanges(changes));
  }

  async #applyGraph(commit: Commit): Promise<void> {
    const changes = await applySliced(this.#parts.state, commit.rows);
    if (!this.#past) this.#places.replaced(changes);
    if (changes.length > 0) await this.#writeGraph(commit, changes);
  }

  /** Tells QUEUE, and who follows logs, of containers. */
  async #tellContainers({ rows, lsn }: Commit): Promise<void> {
    const { queue, toAll, onContainers } = this.#parts;
    if (!rows.has("containers") && !rows.has("container_requests")) return;
    for (const changes of slicesOf(rows)) {
      const concerned = changes.filter(({ table }) => table === "containers" || table === "container_requests");
      queue.enqueue(
        concerned,
        this.#behind,
        () => toAll.open(lsn),
        () => toAll.close(lsn),
      );
      await queue.room();
      onContainers(concerned);
      if (changes.length === SLICE) await setImmediate();
    }
  }

  async #writeGraph(commit: Commit, changes: Replacement[]): Promise<void> {
    const { state, graph, writer, mark, lookUpOwners, records, toGraph, toAll } = this.#parts;
    changes.push(...(await lookUpOwners()));
    this.#past?.noteDiffering(changes);
    // While the graph is of the past it does not tell who loses what: any change may be a removal.
    const isRemoval =
      this.#past !== null ||
      removesRights(graph.apply(permissionChanges(changes))) ||
      changes.some((change) => endsSessions(change, (group) => isRoleGroup(state.row("group", group) ?? null)));
    const { lsn } = commit;
    toGraph.open(lsn);
    // GRAPHLOG and GRAPH.
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

  async #publish(commit: Commit, revision: Revision, counts: { events: number; untrue: number }): Promise<void> {
    const { epoch, records, stored, subjects, toAll } = this.#parts;
    const { lsn, time } = commit;
    if (commit.logs.length === 0 && this.#parts.silent === null) return;
    const partly = stored?.lsn === lsn ? stored : null;
    const frame = { epoch, lsn, time, revision, maxBody: this.#parts.maxBody };
    await commit.rows.prepare();
    for await (const messages of unitsOf(frame, this.#routed(commit, counts), subjects, MAX_UNIT, partly)) {
      toAll.open(lsn);
      await records.enqueue({ lsn, revision, behind: this.#behind, messages });
    }
  }

  /** Custom events that are stored already count for those of the same window that are not. */
  async #recount(commit: Commit): Promise<void> {
    let isConcerned = false;
    for (const { event_type } of commit.logs) isConcerned ||= !CHANGE_TYPES.has(event_type);
    if (!isConcerned) return;
    await commit.rows.prepare();
    for await (const _ of this.#routed(commit, { events: 0, untrue: 0 }));
  }

  async *#routed(commit: Commit, counts: { events: number; untrue: number }): AsyncGenerator<RoutedEvent, void, void> {
    const { silent, now } = this.#parts;
    const state = this.#past?.state ?? this.#parts.state;
    const at = this.#past ? commit.time : now();
    let ordinal = 0;
    for (const logs of slicesOf(commit.logs)) {
      const lookedUp = await this.#lookUp(logs, commit, state);
      for (const log of logs) {
        const group = this.#guarded(() => eventsOf(log, { rows: commit.rows, state, places: this.#places, lookedUp }));
        if (group.length === 0) counts.untrue++;
        yield* this.#guarded(() => this.#routedGroup(group, commit, ordinal, at, counts));
        ordinal += 2;
      }
      if (logs.length === SLICE) await setImmediate();
    }
    for (const group of silent?.eventsOf(commit, state) ?? []) {
      yield* this.#guarded(() => this.#routedGroup(group, commit, ordinal, at, counts));
      ordinal += 2;
      if (ordinal % (2 * SLICE) === 0) await setImmediate();
    }
  }

  /** No row is worth the others: one that cannot be made an event, or routed, is none. */
  #guarded<T>(make: () => T[]): T[] {
    try {
      return make();
    } catch (error) {
      this.#parts.onReduced(error);
      return [];
    }
  }

  /** What these log rows need and memory does not hold: the rows of objects, and where objects were last heard of. */
  async #lookUp(logs: readonly LogRow[], { rows }: Commit, state: GraphRowSet): Promise<LookedUp> {
    const { lookUpRows, lookUpPlaces } = this.#parts;
    const objects = new Set<string>();
    const moved = new Set<string>();
    for (const log of logs) {
      const object = objectToLookUp(log, rows);
      if (object !== null) objects.add(object);
      if (claimsUnknownMove(log, { rows, state, places: this.#places })) moved.add(log.object_uuid);
    }
    if (moved.size > 0) for (const [uuid, owner] of await lookUpPlaces([...moved])) this.#places.note(uuid, owner);
    return objects.size > 0 ? lookUpRows([...objects]) : new Map();
  }

  #routedGroup(
    group: readonly EventToRoute[],
    commit: Commit,
    ordinal: number,
    at: number,
    counts: { events: number },
  ): RoutedEvent[] {
    return group.map((item) => {
      const { event, subjects } = this.#allowed(item, commit, this.#subjectsOf(item, at));
      if (subjects.length > 0) counts.events++;
      const isLeft = item.left !== undefined;
      if (!isLeft && !item.event.untrusted) this.#places.note(item.facts.uuid, item.facts.owner);
      return {
        event,
        // A `left` event and the one that caused it are of one log row.
        ordinal: isLeft ? ordinal : ordinal + 1,
        subjects,
        ...(isLeft ? { moved: "left" as const } : item.gap ? { moved: "unknown" as const } : {}),
      };
    });
  }

  /** A custom event as its writer's allowance leaves it. */
  #allowed(
    { event, actor }: EventToRoute,
    { lsn, time }: Commit,
    subjects: string[],
  ): Pick<RoutedEvent, "event" | "subjects"> {
    if (actor === undefined || subjects.length === 0) return { event, subjects };
    const bytes = customBytes(Buffer.byteLength(JSON.stringify(event)), subjects.length);
    const verdict = this.#parts.rate.judge({ lsn, time }, actor, bytes);
    if (verdict === "routed") return { event, subjects };
    this.#parts.onDropped();
    return verdict === "announced" ? { event: customGap(event, time), subjects } : { event, subjects: [] };
  }

  #subjectsOf(item: EventToRoute, at: number): string[] {
    return this.#routesOf(item, at).map(this.#parts.subjects.record);
  }

  #routesOf({ facts, deleted, left, asOwned }: EventToRoute, at: number): string[] {
    const { graph } = this.#parts;
    if (asOwned) return graph.routeOwned(facts.uuid);
    const present = deleted ? graph.routeDelete(facts) : graph.route(facts, at);
    return left === undefined ? present : graph.routeLeft(facts, left, at).filter((route) => !present.includes(route));
  }
}
