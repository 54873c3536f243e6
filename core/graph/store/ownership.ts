import { Circle } from "./circle.ts";
import type { IntColumn, Nodes } from "./nodes.ts";

const NEVER = () => false;

/**
 * One step up, packed into one integer, for `check` climbs past hundreds of groups a microsecond and each column read may
 * be a cache miss: bit 0 = some link may point at the node itself, bits 1-2 = kind of its owner, the rest = owner + 1.
 */
const LINKED = 1;
const OWNER_IS_USER = 2;
const OWNER_IS_GROUP = 4;
const OWNER_SHIFT = 3;

export const ownerStep = {
  /** Can the node be among the seeds of a closure: is it the head of a link, or a role? */
  isSeed: (up: number) => (up & LINKED) !== 0,
  owner: (up: number) => (up >> OWNER_SHIFT) - 1,
  ownerIsUser: (up: number) => (up & OWNER_IS_USER) !== 0,
  ownerIsGroup: (up: number) => (up & OWNER_IS_GROUP) !== 0,
};

/**
 * Who owns whom. Groups hang below users or groups as a forest of sibling lists (three columns, O(1) to move a node);
 * users are owned by a user or group; an object's owner is kept, and the object hangs in its owner's list only while
 * some permission link points at it, so walking a subtree meets groups and shared objects and nothing else.
 *
 * Rows can be anything: an owner may be missing, or ownership may run in a circle. Every walk here ends.
 */
export class Ownership {
  readonly #nodes: Nodes;
  readonly #up: IntColumn;
  readonly #first: IntColumn;
  readonly #next: IntColumn;
  readonly #previous: IntColumn;
  readonly #usersOf = new Map<number, Set<number>>();
  #past: ReadonlyMap<number, number> | null = null;

  constructor(nodes: Nodes) {
    this.#nodes = nodes;
    this.#up = nodes.column(0);
    this.#first = nodes.column(-1);
    this.#next = nodes.column(-1);
    this.#previous = nodes.column(-1);
  }

  /** The owner of a node, or -1. */
  owner(node: number): number {
    if (this.#past !== null) {
      const before = this.#past.get(node);
      if (before !== undefined) return before;
    }
    return ownerStep.owner(this.#up.get(node));
  }

  /** One step up from a node: see `ownerStep`. */
  up(node: number): number {
    const up = this.#up.get(node);
    if (this.#past === null) return up;
    // The bit is current; a closure of the past may have seeds that no link points at any more.
    const before = this.#past.get(node);
    return before === undefined ? up | LINKED : this.#packed(LINKED, before);
  }

  setLinked(node: number, isLinked: boolean): void {
    this.#up.set(node, (this.#up.get(node) & ~LINKED) | (isLinked ? LINKED : 0));
  }

  /** The owner where that is a group, else -1: one step up within the forest. */
  parentGroup(node: number): number {
    const owner = this.owner(node);
    return owner >= 0 && this.#nodes.isGroup(owner) ? owner : -1;
  }

  /** Answers `ask` as of before a delta, given the owners that the delta replaced. */
  asOf<T>(past: ReadonlyMap<number, number>, ask: () => T): T {
    this.#past = past;
    try {
      return ask();
    } finally {
      this.#past = null;
    }
  }

  usersOwnedBy(node: number): ReadonlySet<number> | undefined {
    return this.#usersOf.get(node);
  }

  /** Gives a group, a user or an object a new owner (-1 = none). `listed`: it hangs in its owner's list. */
  set(node: number, owner: number, listed: boolean): void {
    const before = this.#now(node);
    if (before >= 0) {
      this.#nodes.release(before);
      if (this.#nodes.isUser(node)) this.#dropUser(before, node);
      else if (listed) this.unlist(node);
    }
    this.#up.set(node, this.#packed(this.#up.get(node) & LINKED, owner));
    if (owner < 0) return;
    if (this.#nodes.isUser(node)) this.#addUser(owner, node);
    else if (listed) this.list(node);
  }

  /** Hangs an object in its owner's list: it has become the head of a link. */
  list(node: number): void {
    const owner = this.#now(node);
    if (owner < 0) return;
    const first = this.#first.get(owner);
    this.#next.set(node, first);
    this.#previous.set(node, -1);
    if (first >= 0) this.#previous.set(first, node);
    this.#first.set(owner, node);
  }

  unlist(node: number): void {
    const owner = this.#now(node);
    if (owner < 0) return;
    const next = this.#next.get(node);
    const previous = this.#previous.get(node);
    if (previous >= 0) this.#next.set(previous, next);
    else this.#first.set(owner, next);
    if (next >= 0) this.#previous.set(next, previous);
    this.#next.set(node, -1);
    this.#previous.set(node, -1);
  }

  /**
   * Walks up from a group through its owners until `group` says yes or the groups end; then asks `user` of the user at the
   * top. Ends in circles of owners too.
   */
  someAbove(from: number, group: (node: number) => boolean, user: (node: number) => boolean): boolean {
    const circle = new Circle();
    for (let at = from; at >= 0; at = this.owner(at)) {
      if (this.#nodes.isUser(at)) return user(at);
      if (!this.#nodes.isGroup(at) || circle.closesAt(at)) return false;
      if (group(at)) return true;
    }
    return false;
  }

  someGroupAbove(from: number, group: (node: number) => boolean): boolean {
    return this.someAbove(from, group, NEVER);
  }

  /** The node and everything listed below it: groups and shared objects. */
  subtree(root: number): number[] {
    const found = [root];
    const seen = new Set(found);
    for (let i = 0; i < found.length; i++) {
      for (let child = this.#first.get(found[i] as number); child >= 0; child = this.#next.get(child)) {
        if (seen.has(child)) continue;
        seen.add(child);
        found.push(child);
      }
    }
    return found;
  }

  /**
   * The owner path of what `node` owns: from the nearest user, or the topmost group known by name, down to `node`
   * itself. Of groups that own each other in a circle the one with the smallest uuid counts as the topmost.
   * An owner that is neither user nor group counts as none: Arvados gives nobody anything through it.
   */
  path(node: number): number[] {
    const up = [node];
    if (!this.#nodes.isGroup(node)) return up;
    const circle = new Circle(node);
    for (let at = this.owner(node); at >= 0; at = this.owner(at)) {
      const user = this.#nodes.isUser(at);
      if (!user && !this.#nodes.isGroup(at)) break;
      if (circle.closesAt(at)) return this.#pathBelowCircle(node);
      up.push(at);
      if (user) break;
    }
    return up.reverse();
  }

  /** The topmost group of the circle that `node` itself is part of, or -1 where it is part of none. */
  circleTop(node: number): number {
    const seen = new Set<number>();
    for (let at = node; at >= 0 && !seen.has(at); at = this.parentGroup(at)) {
      seen.add(at);
      if (this.parentGroup(at) === node) return this.#least([...seen]);
    }
    return -1;
  }

  #pathBelowCircle(node: number): number[] {
    const up = new Set<number>();
    let at = node;
    for (; !up.has(at); at = this.owner(at)) up.add(at);
    const chain = [...up];
    const top = this.#least(chain.slice(chain.indexOf(at)));
    return chain.slice(0, chain.indexOf(top) + 1).reverse();
  }

  #least(nodes: number[]): number {
    return nodes.reduce((least, node) => (this.#nodes.uuid(node) < this.#nodes.uuid(least) ? node : least));
  }

  #now(node: number): number {
    return ownerStep.owner(this.#up.get(node));
  }

  #packed(linked: number, owner: number): number {
    if (owner < 0) return linked;
    const kind = this.#nodes.isUser(owner) ? OWNER_IS_USER : this.#nodes.isGroup(owner) ? OWNER_IS_GROUP : 0;
    return ((owner + 1) << OWNER_SHIFT) | kind | linked;
  }

  #addUser(owner: number, user: number): void {
    const users = this.#usersOf.get(owner);
    if (users) users.add(user);
    else this.#usersOf.set(owner, new Set([user]));
  }

  #dropUser(owner: number, user: number): void {
    const users = this.#usersOf.get(owner);
    users?.delete(user);
    if (users?.size === 0) this.#usersOf.delete(owner);
  }
}
