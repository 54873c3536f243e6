/** The containers as the log follower needs them: how far the life of each is, and a request by which its log is reached. */
import type { ContainerPhase } from "../../core/logs/log-copy.ts";
import type { RowChange } from "../postgres/row.ts";
import type { GraphRowSet } from "../rows/graph-row-set.ts";

/** So long after its end a log is still begun: a reader who asks for it at that moment gets it. */
const RECENT_MS = 600_000;

export class LogContainers {
  readonly #state: GraphRowSet;
  readonly #now: () => number;
  /** Of containers that are not over, and of those asked for since; null = none names it. */
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

  /** Containers that run now. */
  *live(): Generator<string> {
    for (const container of this.#requests.keys()) if (this.phase(container) === "live") yield container;
  }

  /** A container request that names the container, or null. */
  request(container: string): string | null {
    const known = this.#requests.get(container);
    if (known === null || (known !== undefined && this.#names(known, container))) return known;
    // Seldom: an old container, or one whose request now names another.
    let found: string | null = null;
    for (const change of this.#state.all()) {
      if (change.kind === "cr" && change.row?.container_uuid === container) found = change.uuid;
    }
    this.#requests.set(container, found);
    return found;
  }

  /** After these rows of a commit have been applied: the containers about which something may be new. */
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

  /** Lets go of what is long over. */
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
