import { MAX_ROUTE_BYTES } from "../../routes.ts";
import type { Audiences } from "../audience/audiences.ts";
import type { Crowds } from "../audience/crowds.ts";
import type { Topology } from "../store/topology.ts";
import type { Closure } from "./closure.ts";
import type { ClosureCache } from "./closures.ts";

/**
 * Bytes of a pattern that weigh 1: an answer to nats-server, in which permissions are in base64 twice, stays below a mebibyte with as many
 * patterns of that length as `session.grantsMax` admits by default to users who are not heavy.
 */
const UNIT = 192;
/** What a subject has in front of its path, and what a JSON list has between two of them. */
const FRAME = 32;
/** No pattern is longer (grants.ts). */
export const MOST_UNITS = Math.ceil((MAX_ROUTE_BYTES + FRAME) / UNIT);

/** Patterns that one of these brings at most, reading and managing together (grants.ts). */
const BY_ROLE = 5;
const BY_OWN = 2;
const BY_DIRECT = 14;

/**
 * How much what a user is granted weighs: at least the number of its patterns in any process, where a long one counts for several. Roles
 * count as audiences where they are so in every process, and are entered elsewhere; so a weight depends on rows alone.
 */
export class Weights {
  readonly #topology: Topology;
  readonly #audiences: Audiences;
  readonly #crowds: Crowds;
  readonly #rights: ClosureCache;

  constructor(topology: Topology, audiences: Audiences, crowds: Crowds, rights: ClosureCache) {
    this.#topology = topology;
    this.#audiences = audiences;
    this.#crowds = crowds;
    this.#rights = rights;
  }

  /** At least the weight, from the numbers of links alone, as if each were to something that lies deep: enough for almost everybody. */
  quick(user: number, floor: number): number {
    const topology = this.#topology;
    if (floor === Number.POSITIVE_INFINITY || !topology.isAccount(user) || topology.isAdmin(user)) return 0;
    if (this.#rights.isByLevelZero(user)) return Number.POSITIVE_INFINITY;
    const seen = new Set<number>();
    let weight = 0;
    const isLight = () => weight * MOST_UNITS <= floor;
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

  exact(user: number): number {
    const reading = this.#counted(user, 1);
    const managing = this.#counted(user, 3);
    let weight = reading.via.size;
    for (const { seeds } of [reading, managing]) {
      for (const seed of seeds) if (!this.#topology.nodes.isUser(seed)) weight += this.unitsOf(seed);
    }
    weight += BY_DIRECT * reading.direct.size + BY_ROLE * (reading.audiences.size + reading.indirect.size);
    for (const owner of reading.own) weight += this.#crowds.isPossible(owner) ? BY_OWN + BY_ROLE : BY_OWN;
    for (const tail of reading.sources) if (this.#topology.roles.has(tail)) weight += BY_ROLE;
    return weight;
  }

  /** How much the pattern of a group or an object weighs, by the length of its path. */
  unitsOf(seed: number): number {
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
