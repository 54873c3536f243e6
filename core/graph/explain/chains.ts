import type { PermissionEdge } from "../store/permission-links.ts";
import type { Topology } from "../store/topology.ts";

/** One step of a chain of rights. */
export type Hop =
  | { readonly by: "link"; readonly edge: PermissionEdge }
  | { readonly by: "ownership"; readonly owner: number; readonly node: number };

/**
 * How one user comes by what it reaches: the same walk as `reach`, breadth first and with each node's way remembered, so
 * that the chain with the fewest links can be named. One object answers one question.
 */
export class Chains {
  readonly #topology: Topology;
  readonly #level: number;
  readonly start: number;
  /** The last hop to each node reached. */
  readonly #last = new Map<number, Hop>();

  constructor(topology: Topology, start: number, level: number) {
    this.#topology = topology;
    this.#level = level;
    this.start = start;
    this.#walk();
  }

  /** The hops from the start to a node, or null where it is out of reach. A group's may end with hops down from a project above. */
  to(node: number): Hop[] | null {
    if (node === this.start) return [];
    const last = this.#last.get(node);
    if (last !== undefined) return [...(this.to(tailOf(last)) ?? []), last];
    if (node < 0 || !this.#topology.nodes.isGroup(node)) return null;
    const down: Hop[] = [];
    const seen = new Set<number>();
    for (let at = node; !seen.has(at); ) {
      seen.add(at);
      const owner = this.#topology.ownership.owner(at);
      if (owner < 0) return null;
      down.unshift({ by: "ownership", owner, node: at });
      if (owner === this.start || this.#last.has(owner)) {
        // Of users, only the start hands on what it owns.
        if (this.#topology.nodes.isUser(owner) && owner !== this.start) return null;
        return [...(this.to(owner) ?? []), ...down];
      }
      if (!this.#topology.nodes.isGroup(owner)) return null;
      at = owner;
    }
    return null;
  }

  /** The hops by which what a user owns comes within reach: the last is an ownership or a link of level 3. */
  toManaged(user: number): Hop[] | null {
    const { ownership, nodes } = this.#topology;
    for (const edge of this.#topology.in(user)) {
      if (edge.level < 3 || (nodes.isUser(edge.tail) && edge.tail !== this.start)) continue;
      const hops = this.to(edge.tail);
      if (hops !== null) return [...hops, { by: "link", edge }];
    }
    const owner = ownership.owner(user);
    const hops = owner < 0 || (nodes.isUser(owner) && owner !== this.start) ? null : this.to(owner);
    return hops === null ? null : [...hops, { by: "ownership", owner, node: user }];
  }

  #walk(): void {
    const todo = [this.start];
    const { nodes, ownership } = this.#topology;
    const note = (node: number, hop: Hop): void => {
      if (node === this.start || this.#last.has(node)) return;
      this.#last.set(node, hop);
      if (nodes.isGroup(node)) todo.push(node);
    };
    const drain = (): void => {
      for (let source = todo.shift(); source !== undefined; source = todo.shift()) {
        for (const edge of this.#topology.out(source)) {
          if (edge.level >= this.#level) note(edge.head, { by: "link", edge });
        }
        for (const user of ownership.usersOwnedBy(source) ?? [])
          note(user, { by: "ownership", owner: source, node: user });
      }
    };
    drain();
    for (const group of this.#topology.sources.ownedBy(this.start) ?? []) {
      note(group, { by: "ownership", owner: this.start, node: group });
    }
    for (let again = true; again; ) {
      again = false;
      drain();
      for (const group of this.#topology.sources.nested) {
        if (this.#last.has(group)) continue;
        for (const hop of this.to(group) ?? []) {
          if (hop.by !== "ownership" || this.#last.has(hop.node)) continue;
          note(hop.node, hop);
          again = true;
        }
      }
    }
  }
}

function tailOf(hop: Hop): number {
  return hop.by === "link" ? hop.edge.tail : hop.owner;
}
