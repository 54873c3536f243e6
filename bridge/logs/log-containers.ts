/** The containers as the log follower needs them: the phase of each, and a container request through which its log is read. */
import type { ContainerPhase } from "../../core/logs/log-copy.ts";
import type { RowChange } from "../postgres/row.ts";
import type { GraphRowSet } from "../rows/graph-row-set.ts";

/** The log of an ended container can still be started for so long, so that a reader who asks at that moment gets it. */
const RECENT_MS = 600_000;

export class LogContainers {
  readonly #state: GraphRowSet;
  readonly #now: () => number;
  /** Of containers that have not ended, and of those asked for since; null = no request names the container. */
  readonly #requests = new Map<string, string | null>();
  /** UTC ms at which this bridge saw a container end. */
  readonly #ended = new Map<string, number>();

  constructor(state: GraphRowSet, now: () => number) {
    this.#state = state;
    this.#now = now;
    for (const change of state.all()) if (change.kind === "cr") this.#name(change.row?.container_uuid, change.uuid);
  }

  phase(container: string): ContainerPhase {
    const row = this.#state.row("container", container);
    switch (row?.state) {
      case "Queued":
        return "queued";
      case "Locked":
      case "Running":
        return "live";
      default:
        return this.#now() - (this.#ended.get(container) ?? 0) < RECENT_MS ? "ended" : "past";
    }
  }

  /** Containers that are locked or running. */
  *live(): Generator<string> {
    for (const container of this.#requests.keys()) if (this.phase(container) === "live") yield container;
  }

  /** A container request that names the container, or null. */
  request(container: string): string | null {
    const known = this.#requests.get(container);
    if (known === null || (known !== undefined && this.#names(known, container))) return known;
    // Rare: an old container, or one whose request names another container by now.
    let found: string | null = null;
    for (const change of this.#state.all()) {
      if (change.kind === "cr" && change.row?.container_uuid === container) found = change.uuid;
    }
    this.#requests.set(container, found);
    return found;
  }

  /** To be called after these rows of a commit are applied to the state. Returns the containers that may have changed. */
  apply(rows: Iterable<RowChange>): string[] {
    const changed: string[] = [];
    for (const { table, row } of rows) {
      if (row === null) continue;
      const uuid = String(row.uuid);
      if (table === "container_requests") this.#name(row.container_uuid, uuid);
      if (table !== "containers") continue;
      changed.push(uuid);
      if (this.#requests.has(uuid) && this.phase(uuid) === "past") this.#ended.set(uuid, this.#now());
    }
    return changed;
  }

  /** Forgets containers that ended long ago. */
  sweep(): void {
    for (const container of this.#requests.keys()) {
      if (this.phase(container) !== "past") continue;
      this.#requests.delete(container);
      this.#ended.delete(container);
    }
  }

  #name(container: unknown, request: string): void {
    if (typeof container !== "string" || this.phase(container) === "past") return;
    this.#requests.set(container, request);
  }

  #names(request: string, container: string): boolean {
    return this.#state.row("cr", request)?.container_uuid === container;
  }
}
