import type { Topology } from "../store/topology.ts";
import type { Crowds } from "./crowds.ts";
import { Threshold } from "./threshold.ts";

/**
 * Which roles are *audiences*: large enough that what is shared with them is published as a copy for their members
 * (docs/subjects.md 3) instead of standing in each member's grants.
 *
 * A role becomes one above `min` members and stays one until it falls to `floor` or below (threshold.ts), so that a role near the
 * threshold does not flap. Between the two bounds processes may differ, each by its own history; so copies are published for every
 * role above `floor`, and either kind of grant finds its events.
 *
 * A crowded user (crowds.ts) is an audience too: of those who manage it, for what it reaches itself.
 */
export class Audiences {
  readonly #topology: Topology;
  readonly #threshold: Threshold;
  readonly #crowds: Crowds;
  /**
   * Members of each role: users that reach it at level >= 1 in any way, root not counted (it owns every role). Counted as far as
   * it matters: one more than `min`, and not at all for those who are an audience whatever their number.
   */
  readonly #members = new Map<number, number>();
  readonly #audiences = new Set<number>();

  constructor(topology: Topology, min: number, crowds: Crowds) {
    this.#topology = topology;
    this.#threshold = new Threshold(min);
    this.#crowds = crowds;
  }

  /** Is what the role reaches granted by membership, or what the user reaches by managing it? */
  readonly has = (node: number): boolean => this.#audiences.has(node) || this.#isCrowd(node, this.#crowds.has);

  /** Is it so in every process? */
  readonly isSure = (node: number): boolean => {
    if (this.#topology.nodes.isUser(node)) return this.#crowds.isSure(node);
    if (!this.#topology.roles.has(node)) return false;
    return this.#topology.isEverybody(node) || this.#threshold.isSure(this.#counted(node));
  };

  /** May it be no audience in a process with another history? */
  isDisputed(node: number): boolean {
    return this.has(node) && !this.isSure(node);
  }

  /** The roles that get copies: every audience, and what might be one elsewhere. */
  *copied(): Iterable<number> {
    for (const role of this.#topology.roles) if (this.isCopied(role)) yield role;
    for (const node of this.#crowds.possible) if (this.#isCrowd(node, this.#crowds.isPossible)) yield node;
  }

  /** Is what the role is given published as a copy? */
  isCopied(node: number): boolean {
    if (this.#topology.nodes.isUser(node)) return this.#isCrowd(node, this.#crowds.isPossible);
    return (
      this.#topology.roles.has(node) && (this.#audiences.has(node) || this.#threshold.isPossible(this.#counted(node)))
    );
  }

  /** Counts these roles again. `turned` must change sides; `copied`: some role's copies begin or end. */
  recount(roles: Iterable<number>): { turned: Set<number>; copied: boolean } {
    const turned = new Set<number>();
    let copied = false;
    for (const role of roles) {
      const before = this.isCopied(role);
      if (this.#topology.roles.has(role)) this.#members.set(role, this.#count(role));
      else this.#members.delete(role);
      const turns = this.#shouldBe(role) !== this.#audiences.has(role);
      if (turns) turned.add(role);
      copied ||= turns || before !== this.isCopied(role);
    }
    return { turned, copied };
  }

  /** The roles there are, and those that were roles when last counted. */
  allKnown(): Set<number> {
    return new Set([...this.#topology.roles, ...this.#members.keys()]);
  }

  /** Was it a role when last counted? */
  knows(node: number): boolean {
    return this.#members.has(node);
  }

  drop(nodes: Iterable<number>): void {
    for (const node of nodes) {
      this.#members.delete(node);
      this.#audiences.delete(node);
    }
  }

  turn(role: number): void {
    if (!this.#audiences.delete(role)) this.#audiences.add(role);
  }

  #count(role: number): number {
    const { min } = this.#threshold;
    if (this.#topology.isEverybody(role) || min === Number.POSITIVE_INFINITY) return 0;
    return membersOf(this.#topology, role, min + 1).size;
  }

  #counted(role: number): number {
    return this.#members.get(role) ?? 0;
  }

  #shouldBe(role: number): boolean {
    if (!this.#topology.roles.has(role)) return false;
    if (this.#topology.isEverybody(role)) return true;
    return this.#threshold.passes(this.#counted(role), this.#audiences.has(role));
  }

  #isCrowd(node: number, asked: (node: number) => boolean): boolean {
    return this.#topology.nodes.isUser(node) && asked(node);
  }
}

/** The users, those with a row and without root, that reach a group at level >= 1, or manage a user; no more than `most` of them. */
function membersOf(topology: Topology, group: number, most = Number.POSITIVE_INFINITY): Set<number> {
  const { nodes, ownership, users } = topology;
  const root = nodes.find(topology.known.rootUser);
  const members = new Set<number>();
  const seen = new Set([group]);
  const todo = [group];
  const meet = (node: number): void => {
    if (nodes.isUser(node)) {
      if (node !== root && users.has(node)) members.add(node);
    } else if (nodes.isGroup(node) && !seen.has(node)) {
      seen.add(node);
      todo.push(node);
    }
  };
  for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
    const owner = ownership.owner(at);
    if (owner >= 0) meet(owner);
    for (const edge of topology.in(at)) {
      if (members.size >= most) return members;
      if (edge.level >= (nodes.isUser(at) ? 3 : 1)) meet(edge.tail);
    }
  }
  return members;
}

/** The roles whose members may depend on these nodes: the roles among them and all roles reached from them. */
export function rolesBeyond(topology: Topology, from: Iterable<number>): Set<number> {
  const { nodes, ownership, sources: tails } = topology;
  const found = new Set<number>();
  const todo: number[] = [];
  const seen = new Set<number>();
  const meet = (node: number): void => {
    if (seen.has(node)) return;
    if (nodes.isGroup(node)) todo.push(node);
    else if (!nodes.isUser(node)) return;
    seen.add(node);
  };
  for (const node of from) {
    meet(node);
    if (!nodes.isUser(node)) continue;
    for (const edge of topology.out(node)) meet(edge.head);
    for (const group of topology.sources.ownedBy(node) ?? []) meet(group);
  }
  const has = (node: number) => seen.has(node);
  for (let again = true; again; ) {
    again = false;
    for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
      if (topology.roles.has(at)) found.add(at);
      for (const edge of topology.out(at)) if (nodes.isGroup(edge.head)) meet(edge.head);
    }
    for (const group of tails.nested) {
      if (seen.has(group) || !ownership.someAbove(group, has, has)) continue;
      meet(group);
      again = true;
    }
  }
  return found;
}
