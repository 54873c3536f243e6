import type { IntColumn, Nodes } from "./nodes.ts";

/**
 * Which container requests show which container: a list per container in three columns, so that half a million requests
 * cost no object each, and a request changes its container in O(1).
 */
export class Requests {
  readonly #nodes: Nodes;
  readonly #container: IntColumn;
  readonly #first: IntColumn;
  readonly #next: IntColumn;
  readonly #previous: IntColumn;

  constructor(nodes: Nodes) {
    this.#nodes = nodes;
    this.#container = nodes.column(-1);
    this.#first = nodes.column(-1);
    this.#next = nodes.column(-1);
    this.#previous = nodes.column(-1);
  }

  /** The requests that show a container. */
  of(container: number): number[] {
    const found: number[] = [];
    for (let at = this.#first.get(container); at >= 0; at = this.#next.get(at)) found.push(at);
    return found;
  }

  /** Gives a request a container (a node retained for it; -1 = none). */
  set(request: number, container: number): void {
    const before = this.#container.get(request);
    if (before >= 0) this.#unlist(request, before);
    if (container >= 0) this.#list(request, container);
    this.#container.set(request, container);
    if (before >= 0) this.#nodes.release(before);
  }

  #list(request: number, container: number): void {
    const first = this.#first.get(container);
    this.#next.set(request, first);
    this.#previous.set(request, -1);
    if (first >= 0) this.#previous.set(first, request);
    this.#first.set(container, request);
  }

  #unlist(request: number, container: number): void {
    const next = this.#next.get(request);
    const previous = this.#previous.get(request);
    if (previous >= 0) this.#next.set(previous, next);
    else this.#first.set(container, next);
    if (next >= 0) this.#previous.set(next, previous);
    this.#next.set(request, -1);
    this.#previous.set(request, -1);
  }
}
