import type { Effect } from "../../graph-types.ts";
import { isGroupUuid, isUserUuid } from "../../uuid.ts";
import type { Audiences } from "../audience/audiences.ts";
import { type Closure, type KeptClosure, type RightLevel, reachesHead } from "../reach/closure.ts";
import type { ClosureCache } from "../reach/closures.ts";
import { shownBySeed } from "../reach/grants.ts";
import type { Standing } from "../reach/heavy.ts";
import { holdsSeed } from "../reach/holds.ts";
import type { Topology } from "../store/topology.ts";
import type { DeltaPlan } from "./delta-plan.ts";

/** With more links than this at once, computing the closures again is cheaper than trying every head in each of them. */
const MOST_LINKS = 32;

/**
 * The common delta: somebody shares a project or an object, or takes the share back. Nothing is reached *through* the head,
 * so in each closure concerned one seed is added or removed, and neither closure nor grants are computed again: a role of
 * 500 costs 500 times a few look-ups.
 */
export function isPlainShare(topology: Topology, plan: DeltaPlan): boolean {
  if (plan.changes.length > MOST_LINKS) return false;
  // The first link to an object brings its owner with it, and the last one takes it along; that moves nothing that others had.
  if (plan.moved.size > plan.departed.size || plan.changes.some(({ kind }) => kind === "user" || kind === "group"))
    return false;
  const { nodes } = topology;
  const plainTail = (uuid: string): boolean => {
    const tail = nodes.find(uuid);
    return tail >= 0 && topology.hasRow(tail) && (nodes.isUser(tail) || topology.isRole(tail));
  };
  for (const change of plan.changes) {
    if (change.kind === "link" && change.row !== null && !plainTail(change.row.tail_uuid)) return false;
  }
  for (const tail of plan.sources) if (!plainTail(nodes.uuid(tail))) return false;
  for (const uuid of plan.heads) {
    const head = nodes.find(uuid);
    if (head < 0 && !isUserUuid(uuid) && !isGroupUuid(uuid)) continue;
    if (head < 0 || nodes.isUser(head) || topology.sources.has(head) || topology.isEverybody(head)) return false;
    if (topology.ownership.circleTop(head) >= 0) return false;
    for (const tail of topology.sources.nested) {
      if (topology.ownership.someGroupAbove(tail, (at) => at === head)) return false;
    }
  }
  return true;
}

/** One seed that comes to, or goes from, a user's closure. */
type Turn = {
  readonly user: number;
  readonly level: RightLevel;
  readonly head: number;
  readonly comes: boolean;
  /** Goes: did it show in the grants? Comes: was the head in reach already, in another way? */
  readonly before: boolean;
};

const LEVELS: readonly RightLevel[] = [1, 3];

/** All who reach one of the sources; the standing of users who are not light; and those whom the caller compares. */
type Whom = {
  readonly all: Iterable<number>;
  readonly standing: ReadonlyMap<number, Standing>;
  readonly near: ReadonlySet<number>;
};

/** Brings closures and effect up to date, once with the links as they were and once as they are. */
export class Shares {
  readonly #topology: Topology;
  readonly #audiences: Audiences;
  readonly #rights: ClosureCache;
  readonly #principals: number[];
  readonly #whom: Whom;
  readonly #plan: DeltaPlan;
  #heads: readonly number[] = [];

  /** Before the links change. */
  constructor(topology: Topology, audiences: Audiences, rights: ClosureCache, whom: Whom, plan: DeltaPlan) {
    this.#topology = topology;
    this.#audiences = audiences;
    this.#rights = rights;
    this.#principals = [...whom.all];
    this.#whom = whom;
    this.#plan = plan;
    for (const principal of this.#principals) {
      for (const level of LEVELS) {
        if (this.#hasGrants(principal)) rights.of(principal, level);
        if (audiences.isCopied(principal)) {
          rights.role(principal, level);
          rights.managed(principal, level);
        }
      }
    }
  }

  /** After the links changed: patches the closures. `lessened`: roles that have lost something. */
  settle(): { effect: Effect; lessened: Set<number> } {
    const turns: Turn[] = [];
    const patches: { closure: KeptClosure; head: number; present: boolean }[] = [];
    const lessened = new Set<number>();
    const outdated = new Set<string>();
    let rerouted = this.#plan.reroutes;
    this.#heads = [...this.#plan.heads].map((uuid) => this.#topology.nodes.find(uuid));
    for (const principal of this.#principals) {
      for (const level of LEVELS) {
        if (this.#hasGrants(principal)) {
          const closure = this.#rights.user(principal, level);
          for (const head of this.#turning(closure, level)) {
            const comes = !closure.seeds.has(head);
            patches.push({ closure, head, present: comes });
            const standing = this.#whom.standing.get(principal);
            if (standing !== undefined) rerouted = true;
            if (standing === "disputed" && !comes) outdated.add(this.#topology.nodes.uuid(principal));
            if (standing === "disputed" || standing === "heavy") continue;
            turns.push({ user: principal, level, head, comes, before: this.#before(principal, level, head, comes) });
          }
        }
        for (const closure of this.#rights.cachedOfRole(principal, level)) {
          for (const head of this.#turning(closure, level)) {
            const present = !closure.seeds.has(head);
            patches.push({ closure, head, present });
            if (!present) lessened.add(principal);
            rerouted ||= this.#audiences.isCopied(principal);
          }
        }
      }
    }
    for (const { closure, head, present } of patches) {
      if (present) closure.seeds.add(head);
      else closure.seeds.delete(head);
    }
    const effect = { ...this.#effect(turns), rerouted };
    // Their older sessions may hold the patterns, from a process in which they are not heavy.
    for (const user of outdated) effect.outdated.add(user);
    return { effect, lessened };
  }

  #turning(closure: Closure, level: RightLevel): number[] {
    return this.#heads.filter((head) => closure.seeds.has(head) !== reachesHead(this.#topology, closure, head, level));
  }

  /** Admins may read everything anyway; a user without an account has no grants. */
  #hasGrants(principal: number): boolean {
    return (
      this.#topology.nodes.isUser(principal) &&
      !this.#whom.near.has(principal) &&
      this.#topology.isAccount(principal) &&
      !this.#topology.isAdmin(principal)
    );
  }

  #before(user: number, level: RightLevel, head: number, comes: boolean): boolean {
    // What was before differs in links, and in the owners of objects that nobody is linked to any more.
    return this.#topology.ownership.asOf(this.#plan.moved, () =>
      comes
        ? holdsSeed(this.#topology, this.#rights.of(user, level), head)
        : shownBySeed(this.#topology, this.#rights.user(user, level), head, level === 3) >= 0,
    );
  }

  #effect(turns: Turn[]): Omit<Effect, "rerouted"> {
    const lost = new Set<string>();
    const gained = new Set<string>();
    const changed = new Set<string>();
    const outdated = new Set<string>();
    for (const { user, level, head, comes, before } of turns) {
      const uuid = this.#topology.nodes.uuid(user);
      if (comes) {
        if (shownBySeed(this.#topology, this.#rights.user(user, level), head, level === 3) < 0) continue;
        changed.add(uuid);
        if (!before) gained.add(uuid);
        continue;
      }
      outdated.add(uuid);
      if (before) {
        changed.add(uuid);
        if (!holdsSeed(this.#topology, this.#rights.of(user, level), head)) lost.add(uuid);
      }
    }
    for (const user of lost) {
      gained.delete(user);
      changed.delete(user);
      outdated.delete(user);
    }
    for (const user of gained) changed.delete(user);
    return { shrank: lost, grew: gained, moved: changed, outdated };
  }
}
