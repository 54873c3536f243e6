import { MAX_ROUTE_BYTES } from "../../routes.ts";
import type { Audiences } from "../audience/audiences.ts";
import type { Crowds } from "../audience/crowds.ts";
import { Threshold } from "../audience/threshold.ts";
import type { Topology } from "../store/topology.ts";
import { type Closure, closureOf } from "./closure.ts";
import type { ClosureCache } from "./closures.ts";

/**
 * Bytes of a pattern that weigh 1: an answer to nats-server, in which permissions are in base64 twice, stays below a mebibyte with as many
 * patterns of that length as `session.grantsMax` admits by default to users who are not heavy.
 */
const UNIT = 192;
/** What a subject has in front of its path, and what a JSON list has between two of them. */
const FRAME = 32;
/** No pattern is longer (grants.ts). */
const MOST_UNITS = Math.ceil((MAX_ROUTE_BYTES + FRAME) / UNIT);

/** Patterns that one of these brings at most, reading and managing together (grants.ts). */
const BY_ROLE = 5;
const BY_OWN = 2;
const BY_DIRECT = 14;

/**
 * `light`: there are patterns and no copies; `copied`: both, for it may be heavy elsewhere; `disputed`: heavy here, and maybe not
 * elsewhere; `heavy` everywhere.
 */
export type Standing = "light" | "copied" | "disputed" | "heavy";

/**
 * *Heavy* users: those whose grants would be too many for one session, by whatever they were given. Such a user is an audience of one:
 * what it reaches is published as a copy under `@user.<user>`, which every user may hear anyway, and stands in no grant. So nobody
 * shuts anybody out by giving, and what is given and taken back changes routes only.
 *
 * Excepted is what would make many copies of one event: the groups that are everybody's, and what is crowded (crowds.ts). Heavy users
 * keep the patterns of these.
 *
 * A user's weight is at least the number of its patterns in any process, where a long one counts for several: roles count as audiences where they are so in every process,
 * and are entered elsewhere. So it depends on rows alone, and the two bounds are those of docs/adr/0009.
 */
export class HeavyUsers {
  readonly #topology: Topology;
  readonly #audiences: Audiences;
  readonly #crowds: Crowds;
  readonly #rights: ClosureCache;
  readonly #threshold: Threshold;
  /** Never less than the weight; exact where a user above the lower bound was just weighed. */
  readonly #weights = new Map<number, number>();
  /** By how much that may be wrong by now. */
  readonly #slack = new Map<number, number>();
  /** Users above the lower bound: copies are published for these. */
  readonly #possible = new Set<number>();
  readonly #heavy = new Set<number>();
  /** After a load nobody is weighed until somebody asks. */
  #weighed = false;

  constructor(topology: Topology, audiences: Audiences, crowds: Crowds, rights: ClosureCache, min: number) {
    this.#topology = topology;
    this.#audiences = audiences;
    this.#crowds = crowds;
    this.#rights = rights;
    this.#threshold = new Threshold(min);
  }

  /** Users for whom copies are published. */
  get possible(): ReadonlySet<number> {
    this.weighAll();
    return this.#possible;
  }

  has(user: number): boolean {
    this.weighAll();
    return this.#heavy.has(user);
  }

  /** Does every process take the user for heavy? */
  isSure(user: number): boolean {
    return this.possible.has(user) && this.#threshold.isSure(this.#weights.get(user) ?? 0);
  }

  /** Weighs a user whose reach, or the way it is counted, has changed. */
  weigh(user: number): void {
    const { floor } = this.#threshold;
    let weight = this.#quickWeight(user);
    if (weight > floor) weight = this.#exactWeight(user);
    this.#slack.delete(user);
    if (weight > 0) this.#weights.set(user, weight);
    else this.#weights.delete(user);
    if (this.#threshold.isPossible(weight)) this.#possible.add(user);
    else this.#possible.delete(user);
    if (this.#threshold.passes(weight, this.#heavy.has(user))) this.#heavy.add(user);
    else this.#heavy.delete(user);
  }

  /** Everybody, once after a load. */
  weighAll(): void {
    if (this.#weighed) return;
    this.#weighed = true;
    for (const user of this.#topology.users) this.weigh(user);
  }

  /** What a user stays while these heads (-1 = not known yet) come to its closures, or go; null = it may pass a bound. */
  whileTurning(user: number, heads: readonly number[]): Standing | null {
    this.weighAll();
    let most = 0;
    for (const head of heads) most += 2 * (head < 0 ? MOST_UNITS : this.#unitsOf(head));
    const known = this.#stays(user, most);
    if (known !== null) return known;
    this.weigh(user);
    return this.#stays(user, most);
  }

  #stays(user: number, most: number): Standing | null {
    const { floor, min } = this.#threshold;
    const weight = this.#weights.get(user) ?? 0;
    if (weight + most <= floor) {
      this.#weights.set(user, weight + most);
      return "light";
    }
    const slack = (this.#slack.get(user) ?? 0) + most;
    const isBetween = weight - slack > floor && weight + slack <= min;
    const standing = this.#heavy.has(user)
      ? weight - slack > min
        ? "heavy"
        : isBetween
          ? "disputed"
          : null
      : isBetween
        ? "copied"
        : null;
    if (standing !== null) this.#slack.set(user, slack);
    return standing;
  }

  drop(users: Iterable<number>): void {
    for (const user of users) {
      this.#weights.delete(user);
      this.#slack.delete(user);
      this.#possible.delete(user);
      this.#heavy.delete(user);
    }
  }

  /** All are to be weighed again. */
  forgetAll(): void {
    this.#weighed = false;
    this.#weights.clear();
    this.#slack.clear();
    this.#possible.clear();
  }

  /** At least the weight, from the numbers of links alone, as if each were to something that lies deep: enough for almost everybody. */
  #quickWeight(user: number): number {
    const { topology, min } = { topology: this.#topology, min: this.#threshold.min };
    if (min === Number.POSITIVE_INFINITY || !topology.isAccount(user) || topology.isAdmin(user)) return 0;
    if (this.#rights.isByLevelZero(user)) return Number.POSITIVE_INFINITY;
    const seen = new Set<number>();
    let weight = 0;
    const isLight = () => weight * MOST_UNITS <= this.#threshold.floor;
    weight += this.#linksOf(user, seen, true);
    for (const managed of [...seen]) {
      if (managed === user || !topology.nodes.isUser(managed)) continue;
      if (this.#rights.isByLevelZero(managed)) return Number.POSITIVE_INFINITY;
      if (!isLight()) break;
      weight += this.#linksOf(managed, seen, false);
    }
    return weight * MOST_UNITS;
  }

  /** What a user reaches over roles, counted by links; the users it manages come to `seen`. */
  #linksOf(user: number, seen: Set<number>, own: boolean): number {
    const { nodes, ownership, roles, sources: tails } = this.#topology;
    const todo = [user];
    let weight = BY_OWN;
    const meet = (node: number): void => {
      if (seen.has(node)) return;
      if (nodes.isUser(node)) {
        seen.add(node);
        weight += own ? BY_OWN : BY_DIRECT;
      } else if (tails.has(node)) {
        seen.add(node);
        weight += BY_ROLE;
        if (!roles.has(node) || !this.#audiences.isSure(node)) todo.push(node);
      }
    };
    seen.add(user);
    for (const group of tails.ownedBy(user) ?? []) meet(group);
    for (const group of tails.nested) meet(group);
    for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
      weight += 3;
      for (const edge of this.#topology.out(at)) {
        weight += edge.level >= 3 ? 2 : 1;
        // A reader's record is one pattern for all that the tail links to; only who is managed leads on.
        if (nodes.isUser(edge.head) ? edge.level >= 3 : edge.level >= 1) meet(edge.head);
      }
      for (const managed of ownership.usersOwnedBy(at) ?? []) meet(managed);
    }
    return weight;
  }

  #exactWeight(user: number): number {
    const reading = this.#counted(user, 1);
    const managing = this.#counted(user, 3);
    let weight = reading.via.size;
    for (const { seeds } of [reading, managing]) {
      for (const seed of seeds) if (!this.#topology.nodes.isUser(seed)) weight += this.#unitsOf(seed);
    }
    weight += BY_DIRECT * reading.direct.size + BY_ROLE * (reading.audiences.size + reading.indirect.size);
    for (const owner of reading.own) weight += this.#crowds.isPossible(owner) ? BY_OWN + BY_ROLE : BY_OWN;
    for (const tail of reading.sources) if (this.#topology.roles.has(tail)) weight += BY_ROLE;
    return weight;
  }

  /** How much the pattern of a group or an object weighs, by the length of its path. */
  #unitsOf(seed: number): number {
    const { nodes, ownership } = this.#topology;
    let bytes = FRAME;
    for (let at = seed; at >= 0 && bytes < MAX_ROUTE_BYTES; at = ownership.owner(at)) {
      bytes += nodes.uuid(at).length + 1;
      if (at !== seed && nodes.isUser(at)) break;
    }
    // In eighths, so that sums are exact.
    return Math.max(1, Math.min(MOST_UNITS, Math.ceil((8 * bytes) / UNIT) / 8));
  }

  /** The closure by which a user is weighed: it enters whatever is not an audience in every process. */
  #counted(user: number, level: 1 | 3): Closure {
    const closure = this.#rights.user(user, level);
    for (const set of [closure.audiences, closure.indirect]) {
      for (const one of set)
        if (!this.#audiences.isSure(one)) return this.#rights.userBy(user, level, this.#audiences.isSure);
    }
    return closure;
  }
}

/** What a heavy user is granted by patterns all the same: itself, and of its closure what `keeps` says and what is everybody's. */
export function keptOf(topology: Topology, user: number, closure: Closure, keeps: (node: number) => boolean): Closure {
  const some = (nodes: ReadonlySet<number>, also: (node: number) => boolean = () => false): Set<number> => {
    const kept = new Set<number>();
    for (const node of nodes) if (also(node) || keeps(node)) kept.add(node);
    return kept;
  };
  const isEverybody = (node: number) => topology.isEverybody(node);
  const own = some(closure.own, (node) => node === user);
  const seeds = some(closure.seeds);
  const audiences = some(closure.audiences, isEverybody);
  const records = new Set<number>();
  for (const node of [...own, ...seeds]) if (node !== user && topology.nodes.isUser(node)) records.add(node);
  return closureOf({
    own,
    direct: some(closure.direct),
    seeds,
    audiences,
    indirect: some(closure.indirect, isEverybody),
    roles: new Set(audiences),
    sources: new Set(),
    via: new Set(),
    records,
  });
}
