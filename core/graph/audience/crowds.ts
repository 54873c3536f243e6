import type { Topology } from "../store/topology.ts";
import { Threshold } from "./threshold.ts";

/**
 * *Crowded* nodes: those that more than `min` permission links point at. Two things would cost one copy of an event for each of these
 * links, and so must end somewhere: copies for heavy users (heavy.ts), who keep the pattern of what is crowded; and what the many
 * managers of one user have through that user, which is published once for all of them, as for a role (audiences.ts).
 *
 * How many links there are is the same in every process; whether a node between the bounds counts as crowded is not.
 */
export class Crowds {
  readonly #topology: Topology;
  readonly #threshold: Threshold;
  readonly #crowded = new Set<number>();
  readonly #possible = new Set<number>();

  constructor(topology: Topology, min: number) {
    this.#topology = topology;
    this.#threshold = new Threshold(min);
  }

  readonly has = (node: number): boolean => this.#crowded.has(node);
  readonly isSure = (node: number): boolean => this.#threshold.isSure(this.#size(node));
  readonly isPossible = (node: number): boolean => this.isPossibleAt(this.#size(node));
  readonly isPossibleAt = (size: number): boolean => this.#threshold.isPossible(size);

  /** Does anything change for a node whose links become so many? */
  turnsAt(node: number, size: number): boolean {
    return (
      this.#threshold.isSure(size) !== this.isSure(node) ||
      this.isPossibleAt(size) !== this.isPossible(node) ||
      this.#threshold.passes(size, this.has(node)) !== this.has(node)
    );
  }

  /** Nodes that may be crowded in some process. */
  get possible(): ReadonlySet<number> {
    return this.#possible;
  }

  /** Counts the links of these nodes, which have changed. Returned are those that must turn. */
  recount(nodes: Iterable<number>): number[] {
    const turning: number[] = [];
    for (const node of nodes) {
      if (this.isPossible(node)) this.#possible.add(node);
      else this.#possible.delete(node);
      if (this.#threshold.passes(this.#size(node), this.has(node)) !== this.has(node)) turning.push(node);
    }
    return turning;
  }

  turn(node: number): void {
    if (!this.#crowded.delete(node)) this.#crowded.add(node);
  }

  drop(nodes: Iterable<number>): void {
    for (const node of nodes) {
      this.#crowded.delete(node);
      this.#possible.delete(node);
    }
  }

  #size(node: number): number {
    return this.#topology.in(node).length;
  }
}
