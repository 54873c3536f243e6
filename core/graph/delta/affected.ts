import type { Topology } from "../store/topology.ts";

/**
 * The users and roles that a change may concern: all that reach some node in the current graph, backwards over links and
 * owners, then one step further to those who manage a user found (UU), and back again. The walk does not pass an audience
 * role: what is behind it shows in the role's own closure and in no user's grants. Levels are ignored, so this may find
 * too many, never too few; effect.ts then leaves out those whose grants stay the same.
 *
 * A user whose reach is changed by a delta has a path to the tail of some changed edge on which nothing has changed, so it
 * is enough to ask *before* the delta.
 */
export class Reverse {
  readonly #topology: Topology;
  readonly #stop: (role: number) => boolean;
  readonly #beyond: ReadonlySet<number>;
  /** Users, and roles of any size. */
  readonly found = new Set<number>();
  readonly #seen = new Set<number>();
  readonly #todo: number[] = [];

  /** @param beyond those who are met behind audience roles too (level-zero.ts) */
  constructor(topology: Topology, stop: (role: number) => boolean, beyond: ReadonlySet<number> = new Set()) {
    this.#topology = topology;
    this.#stop = stop;
    this.#beyond = beyond;
  }

  /** Walks back from a user or a group. */
  from(node: number): this {
    this.#meet(node);
    this.#drain();
    return this;
  }

  /** Adds those who manage the users found so far: of those that are audiences themselves only with the `entered`. */
  managers(entered: ReadonlySet<number> = new Set()): this {
    const { nodes, ownership } = this.#topology;
    for (const found of [...this.found]) {
      if (!nodes.isUser(found) || (this.#stop(found) && !entered.has(found))) continue;
      const owner = ownership.owner(found);
      if (owner >= 0) this.#meet(owner);
      for (const edge of this.#topology.in(found)) if (edge.level >= 3) this.#meet(edge.tail);
    }
    this.#drain();
    return this;
  }

  #meet(node: number): void {
    if (this.#topology.nodes.isUser(node)) this.found.add(node);
    else if (this.#topology.nodes.isGroup(node) && !this.#seen.has(node)) {
      this.#seen.add(node);
      this.#todo.push(node);
    }
  }

  #drain(): void {
    const { roles, ownership } = this.#topology;
    for (let at = this.#todo.pop(); at !== undefined; at = this.#todo.pop()) {
      const owner = ownership.owner(at);
      if (owner >= 0) this.#meet(owner);
      let stopped = false;
      if (roles.has(at)) {
        this.found.add(at);
        stopped = this.#stop(at);
      }
      if (stopped && this.#beyond.size === 0) continue;
      for (const { tail } of this.#topology.in(at)) if (!stopped || this.#beyond.has(tail)) this.#meet(tail);
    }
  }
}
