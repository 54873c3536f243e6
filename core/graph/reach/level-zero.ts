import type { Topology } from "../store/topology.ts";
import { reach } from "./reach.ts";

/**
 * Permission links of unknown names. They give no level, but a walk follows them and passes on `traverse_owned` (docs/arvados-permissions.md 3.1), so a user
 * may be managed by way of one path and readable by way of another. Arvados makes no such links today; old rows and SQL do.
 *
 * Such a link matters only where somebody is managed behind it, and only to those who reach its tail. All other closures
 * are as if it did not exist. (docs/adr/0020-links-of-unknown-names.md)
 */

/**
 * Users and groups that reach, over links of any level, a link of an unknown name behind which somebody is managed.
 *
 * @param changing tails whose edges are about to change: what they lead to counts as if somebody were managed there
 * @param added tails of links of unknown names that are about to come
 */
export function reachLevelZero(
  topology: Topology,
  changing: ReadonlySet<number> = new Set(),
  added: Iterable<number> = [],
): Set<number> {
  const { nodes, links } = topology;
  const sources = new Set(added);
  const heads = new Set<number>();
  for (const { head } of links.levelZero) if (nodes.isGroup(head)) heads.add(head);
  if (heads.size > 0) {
    const useful = leadingToManaged(topology, heads, changing);
    for (const { tail, head } of links.levelZero) if (useful.has(head)) sources.add(tail);
  }
  return sources.size === 0 ? sources : above(topology, sources, null);
}

/** Of what is reached from these groups at any level: that from which a managed user is reached, or a tail that changes. */
function leadingToManaged(topology: Topology, heads: Iterable<number>, changing: ReadonlySet<number>): Set<number> {
  const reached = below(topology, heads);
  const ends = [...reached].filter((group) => changing.has(group) || managesUsers(topology, group));
  return above(topology, ends, reached);
}

function managesUsers(topology: Topology, group: number): boolean {
  if (topology.ownership.usersOwnedBy(group) !== undefined) return true;
  return topology.out(group).some((edge) => edge.level >= 3 && topology.nodes.isUser(edge.head));
}

/** Groups reached from these over links of any level and by ownership, as far as they lead on. */
function below(topology: Topology, from: Iterable<number>): Set<number> {
  const { nodes, sources: tails, ownership } = topology;
  const found = new Set(from);
  const walk = (): void => {
    for (const group of found) {
      for (const { head } of topology.out(group)) if (nodes.isGroup(head)) found.add(head);
    }
  };
  walk();
  for (let again = tails.nested.size > 0; again; ) {
    again = false;
    for (const group of tails.nested) {
      if (found.has(group) || !ownership.someGroupAbove(group, (at) => found.has(at))) continue;
      found.add(group);
      again = true;
    }
    walk();
  }
  return found;
}

/** These and all users and groups that reach them, over links of any level and owners; within `among` where it is given. */
function above(topology: Topology, from: Iterable<number>, among: ReadonlySet<number> | null): Set<number> {
  const { nodes, ownership } = topology;
  const found = new Set<number>();
  const todo: number[] = [];
  const meet = (node: number, source = false): void => {
    if (found.has(node) || !(nodes.isGroup(node) || nodes.isUser(node))) return;
    // A project between two of them need be no tail itself.
    if (!source && among !== null && !among.has(node) && topology.sources.has(node)) return;
    found.add(node);
    if (nodes.isGroup(node)) todo.push(node);
  };
  for (const node of from) meet(node, true);
  for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
    const owner = ownership.owner(at);
    if (owner >= 0) meet(owner);
    for (const { tail } of topology.in(at)) meet(tail);
  }
  return found;
}

/** What one start gives of the two halves that make a managed user. */
type Halves = {
  /** Users reached with `traverse_owned`, at any level. */
  readonly handed: ReadonlySet<number>;
  /** Users reached at level 1. */
  readonly read: ReadonlySet<number>;
};

/**
 * The users that a walk reaches with `traverse_owned` on one path and level 1 on another, where one of the paths passes a link of an
 * unknown name. Answers about audience roles are kept, so that what thousands of members share is computed once. After a
 * change of a row a new object is needed.
 */
export class LevelZero {
  readonly #topology: Topology;
  #concerned: ReadonlySet<number> | null = null;
  readonly #halves = new Map<number, Halves>();
  readonly #both = new Map<string, ReadonlySet<number>>();

  constructor(topology: Topology) {
    this.#topology = topology;
  }

  /** Can anything but its levels decide what this user or group manages? */
  concerns(start: number): boolean {
    if (this.#topology.links.levelZero.size === 0) return false;
    this.#concerned ??= reachLevelZero(this.#topology);
    return this.#concerned.has(start);
  }

  /**
   * Users managed from `start` in this way and in no other.
   *
   * @param stop the roles not entered by the walk that found `audiences` (at level 1); what each of them manages by itself is left out
   */
  managedFrom(start: number, audiences: ReadonlySet<number>, stop: (role: number) => boolean): Set<number> {
    const own = this.#halvesOf(start, stop);
    const any = reach(this.#topology, start, 0, stop).audiences;
    const found = new Set<number>();
    const add = (users: Iterable<number>): void => {
      for (const user of users) found.add(user);
    };
    add(both(own.handed, own.read));
    for (const role of audiences) add(both(own.handed, this.#whole(role).read));
    for (const handing of any) {
      add(both(this.#whole(handing).handed, own.read));
      for (const role of audiences) if (role !== handing) add(this.#bothOf(handing, role));
    }
    for (const role of audiences) for (const user of this.#bothOf(role, role)) found.delete(user);
    return found;
  }

  /** All users whom a walk without any stop manages by whatever paths. */
  managed(start: number): ReadonlySet<number> {
    const { handed, read } = this.#whole(start);
    return both(handed, read);
  }

  #bothOf(handing: number, reading: number): ReadonlySet<number> {
    const key = `${handing} ${reading}`;
    const known = this.#both.get(key);
    if (known !== undefined) return known;
    const made = both(this.#whole(handing).handed, this.#whole(reading).read);
    this.#both.set(key, made);
    return made;
  }

  #whole(role: number): Halves {
    const known = this.#halves.get(role);
    if (known !== undefined) return known;
    const made = this.#halvesOf(role, null);
    this.#halves.set(role, made);
    return made;
  }

  #halvesOf(start: number, stop: ((role: number) => boolean) | null): Halves {
    const { nodes } = this.#topology;
    const reading = reach(this.#topology, start, 1, stop);
    const read = new Set(reading.managed);
    for (const seed of reading.seeds) if (nodes.isUser(seed)) read.add(seed);
    return { handed: reach(this.#topology, start, 0, stop).managed, read };
  }
}

function both(a: ReadonlySet<number>, b: ReadonlySet<number>): Set<number> {
  const [few, many] = a.size < b.size ? [a, b] : [b, a];
  const found = new Set<number>();
  for (const one of few) if (many.has(one)) found.add(one);
  return found;
}
