import type { Effect } from "../../graph-types.ts";
import { rolesBeyond } from "../audience/audiences.ts";
import { type Closure, EMPTY } from "../reach/closure.ts";
import type { Standing } from "../reach/heavy.ts";
import { behind, type Concerned, concerned, found, usersOf } from "./concerned.ts";
import type { DeltaPlan } from "./delta-plan.ts";
import { Comparison, NOBODY, sameClosure, type UserReach } from "./effect.ts";
import type { GraphState } from "./graph-state.ts";
import { hasLost, leavesOutdated } from "./outdated.ts";
import { isPlainShare, Shares } from "./shares.ts";

/** Applies a plan and finds whose grants it changed. */
export function applyDelta(state: GraphState, plan: DeltaPlan): Effect {
  state.heavy.weighAll();
  const isPlain = isPlainShare(state.topology, plan);
  const whom = concerned(state, plan, isPlain);
  return isPlain ? applyShares(state, plan, whom) : new Delta(state, plan).run(whom);
}

/**
 * How the users whom a share concerns stand while it comes or goes. `near` are those who have to be compared as after any delta: who may
 * pass a bound, and heavy users where something is crowded.
 */
function sortedOut(
  state: GraphState,
  plan: DeltaPlan,
  whom: Concerned,
): { standing: Map<number, Standing>; near: Set<number> } {
  const standing = new Map<number, Standing>();
  const near = new Set(whom.holders);
  const heads = [...plan.heads].map((uuid) => state.topology.nodes.find(uuid));
  for (const node of whom.principals) {
    if (!state.topology.nodes.isUser(node) || near.has(node)) continue;
    const stays = state.heavy.whileTurning(node, heads);
    if (stays === null || (whom.crowded && (stays === "heavy" || stays === "disputed"))) near.add(node);
    else if (stays !== "light") standing.set(node, stays);
  }
  return { standing, near };
}

function applyShares(state: GraphState, plan: DeltaPlan, whom: Concerned): Effect {
  const { topology, crowds, rights } = state;
  const { standing, near } = sortedOut(state, plan, whom);
  const before = new Map([...near].map((user) => [user, state.reachOf(user)]));
  const shares = new Shares(topology, state.audiences, rights, { all: whom.principals, standing, near }, plan);
  for (const change of plan.changes) state.set(change);
  const { effect, lessened } = shares.settle();
  for (const node of crowds.recount(found(topology, plan.linked.keys()))) crowds.turn(node);
  if (whom.crowdsTurn) {
    effect.rerouted = true;
    rights.forgetKept();
  }
  rights.dropUsers(near);
  const comparison = new Comparison(topology, plan.moved, plan.records);
  for (const [user, then] of before) {
    compareUser(state, comparison, effect, topology.nodes.uuid(user), then, false);
  }
  for (const [role, members] of whom.disputed) if (lessened.has(role)) addOutdated(effect, members);
  for (const users of [effect.shrank, effect.grew, effect.moved]) state.forgetGrants(found(topology, users));
  state.sweep();
  return effect;
}

/** Weighs a user again and notes what a delta did to its rights. */
function compareUser(
  state: GraphState,
  comparison: Comparison,
  effect: Effect,
  uuid: string,
  before: UserReach,
  repathed: boolean,
): void {
  const { heavy } = state;
  const user = state.topology.nodes.find(uuid);
  const hadCopies = heavy.possible.has(user);
  if (user >= 0) {
    heavy.weigh(user);
    if (heavy.has(user) !== before.heavy) state.forgetGrants([user]);
  }
  const after = state.reachOf(user);
  if (hadCopies || heavy.possible.has(user)) effect.rerouted ||= !sameReach(before, after);
  const { outcome } = comparison.of(user, before, after, repathed);
  if (outcome !== "shrank" && leavesOutdated(before, after)) effect.outdated.add(uuid);
  if (outcome !== "same") effect[outcome].add(uuid);
}

/** Does a user reach the same as before, whatever of it stands in grants? */
function sameReach(before: UserReach, after: UserReach): boolean {
  return (
    before.heavy === after.heavy &&
    sameClosure(before.reading.whole, after.reading.whole) &&
    sameClosure(before.managing.whole, after.managing.whole)
  );
}

/** Users who have lost a right are cut anyway. */
function addOutdated({ shrank, outdated }: Effect, users: Iterable<string>): void {
  for (const user of users) if (!shrank.has(user)) outdated.add(user);
}

/** A delta of any kind: remembers, changes, counts the roles again, compares. */
class Delta {
  readonly #state: GraphState;
  readonly #plan: DeltaPlan;
  readonly #before = new Map<string, UserReach>();
  #ending: ReadonlySet<number> = new Set();
  /** Users who lose what such a role gave: nothing else about them is compared. */
  readonly #losers = new Set<string>();
  readonly #copies = new Map<number, Closure[]>();

  constructor(state: GraphState, plan: DeltaPlan) {
    this.#state = state;
    this.#plan = plan;
  }

  run({ principals, ending, crowdsTurn, repathed, disputed }: Concerned): Effect {
    this.#ending = ending;
    this.#remember(principals);
    // A user who is added by this delta had nothing before it.
    for (const uuid of this.#plan.users) if (!this.#before.has(uuid)) this.#before.set(uuid, NOBODY);
    for (const change of this.#plan.changes) this.#state.set(change);
    this.#turnCrowds(crowdsTurn);
    this.#state.forget(principals);
    const { copied, decided } = this.#countRoles();
    const effect = this.#compare(repathed);
    const rerouted = this.#copiesDiffer();
    effect.rerouted ||= this.#plan.reroutes || copied || crowdsTurn || rerouted;
    for (const [role, members] of disputed) if (this.#isLessened(role)) addOutdated(effect, members);
    addOutdated(effect, decided);
    this.#state.sweep();
    return effect;
  }

  /** Keeps what the principals have now, unless it is kept already. */
  #remember(principals: Iterable<number>): void {
    const { topology, audiences } = this.#state;
    for (const node of principals) {
      if (topology.nodes.isUser(node)) this.#rememberUser(node, topology.nodes.uuid(node));
      if (audiences.isCopied(node) && !this.#copies.has(node)) this.#copies.set(node, this.#closures(node));
    }
  }

  #rememberUser(user: number, uuid: string): void {
    if (this.#before.has(uuid) || this.#losers.has(uuid)) return;
    if (this.#losesRole(user, uuid)) this.#losers.add(uuid);
    else this.#before.set(uuid, this.#state.reachOf(user));
  }

  #turnCrowds(matters: boolean): void {
    const { crowds, rights, topology } = this.#state;
    for (const node of crowds.recount(found(topology, this.#plan.linked.keys()))) crowds.turn(node);
    if (matters) rights.forgetKept();
  }

  /**
   * Roles whose members came or went may become audiences, or cease to be: a move of their members, who are remembered first.
   * `decided`: users with rights by roles that were audiences here and are from now on everywhere.
   */
  #countRoles(): { copied: boolean; decided: string[] } {
    const { topology, audiences, rights } = this.#state;
    const heads = [...this.#plan.heads].map((uuid) => topology.nodes.find(uuid)).filter((node) => node >= 0);
    const roles = rolesBeyond(topology, heads);
    for (const head of heads) if (audiences.knows(head)) roles.add(head);
    const unsure = [...roles].filter((role) => audiences.isDisputed(role));
    const sure = new Set([...roles].filter(audiences.isSure));
    const { turned, copied } = audiences.recount(roles);
    const firm = unsure.filter((role) => !audiences.isDisputed(role) && !turned.has(role));
    const decided = firm.length > 0 ? usersOf(topology, behind(topology, firm, audiences.has)) : [];
    // The weight of their members changes.
    const reweighed = [...roles].filter((role) => audiences.isSure(role) !== sure.has(role) && !turned.has(role));
    if (reweighed.length > 0) {
      const members = behind(topology, reweighed, audiences.has);
      this.#remember(members);
      rights.forgetKept();
    }
    if (turned.size === 0) return { copied, decided };
    const members = behind(topology, turned, audiences.has);
    this.#remember(members);
    for (const role of turned) audiences.turn(role);
    this.#state.forget(members);
    return { copied, decided };
  }

  #compare(repathed: ReadonlySet<number>): Effect {
    const { topology } = this.#state;
    const comparison = new Comparison(topology, this.#plan.moved, this.#plan.records);
    const effect: Effect = {
      shrank: new Set(),
      grew: new Set(),
      moved: new Set(),
      outdated: new Set(),
      rerouted: false,
    };
    for (const [uuid, before] of this.#before) {
      const user = topology.nodes.find(uuid);
      compareUser(this.#state, comparison, effect, uuid, before, repathed.has(user));
    }
    for (const uuid of this.#losers) {
      const user = topology.nodes.find(uuid);
      this.#state.heavy.weigh(user);
      effect.shrank.add(uuid);
      effect.rerouted ||= this.#state.heavy.possible.has(user);
    }
    return effect;
  }

  /**
   * Has the user a grant as a member of a role that is none after the delta? Then the user loses it, and nothing else needs to be
   * compared for its thousands of members.
   */
  #losesRole(user: number, uuid: string): boolean {
    if (this.#ending.size === 0 || this.#plan.users.has(uuid)) return false;
    const { rights, heavy } = this.#state;
    const { known, admin } = this.#state.account(user);
    if (!known || admin || heavy.possible.has(user)) return false;
    for (const role of rights.user(user, 1).audiences) if (this.#ending.has(role)) return true;
    return false;
  }

  /** Is something copied for an audience that was not, or the other way round? */
  #copiesDiffer(): boolean {
    for (const [role, before] of this.#copies) {
      const after = this.#state.audiences.isCopied(role) ? this.#closures(role) : before.map(() => EMPTY);
      if (before.some((closure, i) => !sameClosure(closure, after[i] as Closure))) return true;
    }
    return false;
  }

  /** Has an audience role lost something, whatever the role itself has become? */
  #isLessened(role: number): boolean {
    const { nodes, roles } = this.#state.topology;
    const after = roles.has(role) || nodes.isUser(role) ? this.#closures(role) : [];
    return (this.#copies.get(role) ?? []).some((closure, i) => hasLost(closure, after[i] ?? EMPTY));
  }

  /** What is copied for a role: what it gives to read, to manage, and what its members get through users it manages. */
  #closures(role: number): Closure[] {
    const { rights } = this.#state;
    return [rights.role(role, 1), rights.role(role, 3), rights.managed(role, 1), rights.managed(role, 3)];
  }
}
