/**
 * A commit's log rows as routed events: which are true (`rows/event.ts`), what PostgreSQL and RECORDS must be asked for, where each goes by
 * the graph, and what a user's allowance leaves of custom events. `CommitHandler` calls it; it publishes nothing.
 */
import { setImmediate } from "node:timers/promises";
import type { PermissionGraph } from "../../core/graph/permission-graph.ts";
import type { Lsn } from "../../core/lsn.ts";
import type { Replacement } from "../../core/rows.ts";
import type { Subjects } from "../../core/subjects.ts";
import { claimsUnknownMove, type EventToRoute, eventsOf, type LookedUp, objectToLookUp } from "../rows/event.ts";
import type { GraphRowSet } from "../rows/graph-row-set.ts";
import { LastOwners } from "../rows/last-owners.ts";
import type { LogRow } from "../rows/log-row.ts";
import { SLICE, slicesOf } from "../rows/slices.ts";
import type { RoutedEvent } from "../streams/commit-units.ts";
import type { Commit } from "./commit.ts";
import { type CustomRate, customBytes, customGap } from "./custom-rate.ts";
import type { SilentChanges } from "./silent-changes.ts";

export type EventRouterParts = {
  graph: PermissionGraph;
  subjects: Subjects;
  lookUpRows: (uuids: readonly string[]) => Promise<LookedUp>;
  /** Owners of objects by the last events about them that RECORDS holds of commits before this position. */
  lookUpLastOwners: (uuids: readonly string[], before: Lsn) => Promise<ReadonlyMap<string, string>>;
  /** Row changes that have no log row; null = they make no events. */
  silent: SilentChanges | null;
  /** How much of RECORDS each user fills with custom events. */
  rate: CustomRate;
  /** A custom event has no route because its writer has spent the allowance. */
  onDropped: () => void;
  /** A log row could not be made an event, which is a defect of ours: that event is left out. */
  onReduced: (error: unknown) => void;
  /** An event lacks a route because its object is nested too deep. */
  onTooDeep: (uuid: string) => void;
};

/** The graph's rows as of the commit, and the time (UTC ms) at which it is routed. */
export type RoutingView = { state: GraphRowSet; at: number };

/** `events` counts those with a route, `untrue` log rows without a change of their object. */
export type EventCounts = { events: number; untrue: number };

export class EventRouter {
  readonly #parts: EventRouterParts;
  readonly #owners = new LastOwners();

  constructor(parts: EventRouterParts) {
    this.#parts = parts;
  }

  /** Do row changes without a log row make events? */
  get routesSilent(): boolean {
    return this.#parts.silent !== null;
  }

  /** What a commit changed in the graph, before its events are routed: it shows where objects were. */
  noteReplaced(changes: readonly Replacement[]): void {
    this.#owners.replaced(changes);
  }

  /** The events of a commit that was prepared (`CommitRows.prepare`), in order. Events without a route are among them. */
  async *route(commit: Commit, view: RoutingView, counts: EventCounts): AsyncGenerator<RoutedEvent, void, void> {
    let ordinal = 0;
    const routed = (group: readonly EventToRoute[]) => {
      const from = ordinal;
      ordinal += 2;
      return this.#guarded(() => group.map((item) => this.#routed(item, commit, from, view.at, counts)));
    };
    for (const logs of slicesOf(commit.logs)) {
      const context = { rows: commit.rows, state: view.state, owners: this.#owners };
      const lookedUp = await this.#lookUp(logs, context, commit.lsn);
      for (const log of logs) {
        const group = this.#guarded(() => eventsOf(log, { ...context, lookedUp }));
        if (group.length === 0) counts.untrue++;
        yield* routed(group);
      }
      if (logs.length === SLICE) await setImmediate();
    }
    for (const group of this.#parts.silent?.eventsOf(commit, view.state) ?? []) {
      yield* routed(group);
      if (ordinal % (2 * SLICE) === 0) await setImmediate();
    }
  }

  /** One bad row must not stop the others: a row that cannot be made an event, or routed, makes none. */
  #guarded<T>(make: () => T[]): T[] {
    try {
      return make();
    } catch (error) {
      this.#parts.onReduced(error);
      return [];
    }
  }

  /** What these log rows need and memory does not hold: rows of objects, and the owners that objects had last. */
  async #lookUp(
    logs: readonly LogRow[],
    context: Parameters<typeof claimsUnknownMove>[1],
    lsn: Lsn,
  ): Promise<LookedUp> {
    const { lookUpRows, lookUpLastOwners } = this.#parts;
    const objects = new Set<string>();
    const moved = new Set<string>();
    for (const log of logs) {
      const object = objectToLookUp(log, context.rows);
      if (object !== null) objects.add(object);
      if (claimsUnknownMove(log, context)) moved.add(log.object_uuid);
    }
    const owners = moved.size > 0 ? await lookUpLastOwners([...moved], lsn) : [];
    for (const [uuid, owner] of owners) this.#owners.note(uuid, owner);
    return objects.size > 0 ? lookUpRows([...objects]) : new Map();
  }

  #routed(item: EventToRoute, commit: Commit, ordinal: number, at: number, counts: EventCounts): RoutedEvent {
    const { event, subjects } = this.#allowed(item, commit, this.#subjectsOf(item, at));
    if (subjects.length > 0) counts.events++;
    const isLeft = item.left !== undefined;
    // A custom event is routed by the row as it is now, which may be newer than this commit.
    if (!isLeft && !item.event.untrusted) this.#owners.note(item.facts.uuid, item.facts.owner);
    return {
      event,
      // A `left` event and the event that caused it come from one log row.
      ordinal: isLeft ? ordinal : ordinal + 1,
      subjects,
      ...(isLeft ? { moved: "left" as const } : item.gap ? { moved: "unknown" as const } : {}),
    };
  }

  /** A custom event, or what its writer's allowance leaves of it. */
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
    const { graph, subjects, onTooDeep } = this.#parts;
    const before = graph.overlongRoutes;
    const routes = this.#routesOf(item, at);
    if (graph.overlongRoutes > before) onTooDeep(item.facts.uuid);
    return routes.map(subjects.record);
  }

  #routesOf({ facts, deleted, left, asOwned }: EventToRoute, at: number): string[] {
    const { graph } = this.#parts;
    if (asOwned) return graph.routeOwned(facts.uuid);
    const present = deleted ? graph.routeDelete(facts) : graph.route(facts, at);
    return left === undefined ? present : graph.routeLeft(facts, left, at).filter((route) => !present.includes(route));
  }
}
