/**
 * What happens to a commit: its graph changes go to GRAPH; if they take a right away, a barrier is marked, and records from
 * this commit on wait behind it; then its events are routed by the graph as of this commit.
 */
import { setImmediate } from "node:timers/promises";
import type { PermissionGraph } from "../core/graph/permission-graph.ts";
import type { Lsn } from "../core/lsn.ts";
import type { Revision } from "../core/revision.ts";
import { isRoleGroup } from "../core/roles.ts";
import { permissionChanges, type Replacement } from "../core/rows.ts";
import { type Subjects, subjectToken } from "../core/subjects.ts";
import type { Commit } from "./commit.ts";
import { type RoutedEvent, type StoredEvent, unitsOf } from "./commit-units.ts";
import { type EventToRoute, eventsOf, type LookedUp, objectsToLookUp } from "./event.ts";
import type { GraphState } from "./graph-state.ts";
import type { GraphWriter } from "./graph-writer.ts";
import type { PastGraph } from "./past-graph.ts";
import type { PositionTracker } from "./position-tracker.ts";
import { MAX_UNIT } from "./publisher.ts";
import type { QueueWriter } from "./queue-writer.ts";
import type { RecordsWriter } from "./records-writer.ts";
import { endsSessions, takesRights } from "./removal.ts";
import type { SilentChanges } from "./silent-changes.ts";

export type CommitHandlerParts = {
  epoch: number;
  /** The rows that GRAPH holds. */
  state: GraphState;
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
  /** Row changes that no log row tells of; null = they are no events. */
  silent: SilentChanges | null;
  /** What is under way to GRAPH, and to any stream. */
  toGraph: PositionTracker;
  toAll: PositionTracker;
  now: () => number;
};

/** What became of a commit; `events` counts those with a route, `untrue` log rows that nothing stands behind. */
export type Handled = { revision: Revision; events: number; untrue: number };

/** Events routed between two looks at the sockets. */
const SLICE = 500;

export class CommitHandler {
  readonly #parts: CommitHandlerParts;
  /** The last removal: what is committed from there on waits for its enforcement. */
  #behind: Revision;
  #past: PastGraph | null;

  /** @param behind whatever happened before this start: nothing is published before every session is of this revision or newer */
  constructor(parts: CommitHandlerParts, behind: Revision) {
    this.#parts = parts;
    this.#behind = behind;
    this.#past = parts.past;
  }

  /** @param inSnapshot the graph was read after this commit, so it holds its changes already */
  async handle(commit: Commit, inSnapshot: boolean): Promise<Handled> {
    const { writer, stored, queue, toAll, graph } = this.#parts;
    this.passed(commit.lsn - 1n);
    if (this.#past) graph.apply(permissionChanges(await this.#past.repeat(commit)));
    if (!inSnapshot) {
      await this.#applyGraph(commit);
      const { lsn } = commit;
      queue.take(
        commit.rows,
        this.#behind,
        () => toAll.open(lsn),
        () => toAll.close(lsn),
      );
      await queue.room();
    }
    const counts = { events: 0, untrue: commit.badLogs };
    const isThere = stored !== null && (commit.lsn < stored.lsn || (commit.lsn === stored.lsn && stored.isWhole));
    if (!isThere) await this.#publish(commit, writer.revision, counts);
    return { revision: writer.revision, ...counts };
  }

  /** All commits up to `lsn` have been handled: what comes from there on may be routed by the graph of the present. */
  passed(lsn: Lsn): void {
    if (this.#past === null || lsn < this.#past.until) return;
    const { graph, state } = this.#parts;
    graph.apply(permissionChanges(this.#past.changesTo(state)));
    this.#past = null;
  }

  async #applyGraph(commit: Commit): Promise<void> {
    const { state, graph, writer, mark, lookUpOwners, records, toGraph, toAll } = this.#parts;
    const changes = state.apply(commit.rows);
    if (changes.length === 0) return;
    changes.push(...(await lookUpOwners()));
    this.#past?.noteDiffering(changes);
    // While the graph is of the past it does not tell who loses what: any change may be a removal.
    const isRemoval =
      this.#past !== null ||
      takesRights(graph.apply(permissionChanges(changes))) ||
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
    const { epoch, lookUpRows, records, stored, subjects, toAll } = this.#parts;
    const { lsn, time } = commit;
    if (commit.logs.length === 0 && this.#parts.silent === null) return;
    const named = objectsToLookUp(commit);
    const lookedUp: LookedUp = named.length > 0 ? await lookUpRows(named) : new Map();
    const partly = stored?.lsn === lsn ? stored : null;
    const events = this.#routed(commit, lookedUp, counts);
    let routed = 0;
    for (const messages of unitsOf({ epoch, lsn, time, revision }, events, subjects, MAX_UNIT, partly)) {
      toAll.open(lsn);
      await records.take({ lsn, revision, behind: this.#behind, messages });
      if (counts.events - routed < SLICE) continue;
      routed = counts.events;
      await setImmediate();
    }
  }

  *#routed(
    commit: Commit,
    lookedUp: LookedUp,
    counts: { events: number; untrue: number },
  ): Generator<RoutedEvent, void, void> {
    const { silent, now } = this.#parts;
    const state = this.#past?.state ?? this.#parts.state;
    const at = this.#past ? commit.time : now();
    let ordinal = 0;
    for (const group of eventsOf(commit, state, lookedUp)) {
      if (group.length === 0) counts.untrue++;
      yield* this.#routedGroup(group, ordinal, at, counts);
      ordinal += 2;
    }
    for (const group of silent?.eventsOf(commit, state) ?? []) {
      yield* this.#routedGroup(group, ordinal, at, counts);
      ordinal += 2;
    }
  }

  *#routedGroup(
    group: readonly EventToRoute[],
    ordinal: number,
    at: number,
    counts: { events: number },
  ): Generator<RoutedEvent, void, void> {
    for (const item of group) {
      const subjects = this.#subjectsOf(item, at);
      if (subjects.length > 0) counts.events++;
      const isLeft = item.left !== undefined;
      yield {
        event: item.event,
        // A `left` event and the one that caused it are of one log row.
        ordinal: isLeft ? ordinal : ordinal + 1,
        subjects,
        ...(isLeft ? { moved: "left" as const } : item.gap ? { moved: "unknown" as const } : {}),
      };
    }
  }

  #subjectsOf({ facts, deleted, left, shownAs }: EventToRoute, at: number): string[] {
    const { graph, subjects } = this.#parts;
    const present = deleted ? graph.routeDelete(facts) : graph.route(facts, at);
    const tails =
      left === undefined ? present : graph.routeLeft(facts, left, at).filter((tail) => !present.includes(tail));
    return tails.map((tail) =>
      subjects.record(
        shownAs ? tail.replace(/[^.]+\.[^.]+$/, `${subjectToken(shownAs.uuid)}.${shownAs.resource}`) : tail,
      ),
    );
  }
}
