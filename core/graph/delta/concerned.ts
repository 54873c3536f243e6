import { reachLevelZero } from "../reach/level-zero.ts";
import type { Topology } from "../store/topology.ts";
import { Reverse } from "./affected.ts";
import type { DeltaPlan } from "./delta-plan.ts";
import type { GraphState } from "./graph-state.ts";

export type Concerned = {
  principals: Set<number>;
  /** Roles that are none after the delta. */
  ending: Set<number>;
  /** Users who may be heavy and have something that becomes crowded, or is so no longer. */
  holders: Set<number>;
  /** Do links become so many, or so few, that it matters (crowds.ts)? */
  crowdsTurn: boolean;
  /** May one of the heads be crowded? */
  crowded: boolean;
  /** Those whose patterns may name other paths. */
  repathed: Set<number>;
  /** Audience roles that may be none in another process, and the users with rights by them. */
  disputed: Map<number, string[]>;
};

/** The users and roles that a plan may concern, by the graph before it is applied. */
export function concerned(state: GraphState, plan: DeltaPlan, isPlain: boolean): Concerned {
  const { topology, audiences } = state;
  const met = new Set<number>();
  const stop = (role: number): boolean => {
    if (audiences.isDisputed(role)) met.add(role);
    return audiences.has(role);
  };
  // A plain share leads to no user.
  const beyond = isPlain ? new Set<number>() : concernedByLevelZero(topology, plan);
  const changed = new Reverse(topology, stop, beyond);
  for (const tail of plan.sources) changed.from(tail);
  for (const user of plan.arrivals) changed.from(user);
  for (const uuid of plan.users) {
    const user = topology.nodes.find(uuid);
    if (user >= 0) changed.found.add(user);
  }
  const turning = crowdsTurning(state, plan);
  // After the delta it is no longer known what such a role gave by membership.
  const ending = endingRoles(topology, plan);
  const members = behind(topology, [...ending].filter(audiences.has), audiences.has);
  for (const node of members) changed.found.add(node);
  const turningUsers = new Set([...turning].filter((node) => topology.nodes.isUser(node)));
  for (const user of turningUsers) changed.from(user);
  changed.managers(new Set([...turningUsers, ...plan.arrivals]));
  const holders = holdersOf(state, turning, turningUsers, beyond);
  if (!isPlain) for (const user of holders) changed.found.add(user);
  const repathed = new Reverse(topology, stop, beyond);
  for (const moved of plan.moved.keys()) {
    for (const node of topology.ownership.subtree(moved)) {
      // Its members' patterns name an audience role and not its path.
      if (audiences.has(node)) continue;
      for (const edge of topology.in(node)) repathed.from(edge.tail);
    }
  }
  repathed.managers();
  for (const node of repathed.found) changed.found.add(node);
  const disputed = new Map([...met].map((role) => [role, usersOf(topology, behind(topology, [role], audiences.has))]));
  const crowded = [...plan.heads].some((uuid) => mayBeCrowded(state, plan, uuid));
  return {
    principals: changed.found,
    ending,
    holders,
    crowdsTurn: turning.size > 0,
    crowded,
    repathed: repathed.found,
    disputed,
  };
}

/** Roles that are none after the delta. */
function endingRoles(topology: Topology, plan: DeltaPlan): Set<number> {
  const ending = new Set<number>();
  for (const { kind, uuid, row } of plan.changes) {
    if (kind !== "group" || row?.group_class === "role") continue;
    const group = topology.nodes.find(uuid);
    if (group >= 0 && topology.roles.has(group) && !topology.isEverybody(group)) ending.add(group);
  }
  return ending;
}

/** Those of the users that may be heavy who have one of these nodes, in whatever way. */
function holdersOf(
  { topology, audiences, heavy }: GraphState,
  turning: ReadonlySet<number>,
  turningUsers: ReadonlySet<number>,
  beyond: ReadonlySet<number>,
): Set<number> {
  if (turning.size === 0 || heavy.possible.size === 0) return new Set();
  const walk = new Reverse(topology, audiences.has, beyond);
  for (const node of turning) {
    walk.from(node);
    for (const edge of topology.in(node)) walk.from(edge.tail);
  }
  walk.managers(turningUsers);
  // What a user owns directly is in reach from two steps away too (V8).
  if (turningUsers.size > 0) walk.managers(turningUsers);
  return new Set([...walk.found].filter((node) => heavy.possible.has(node)));
}

function mayBeCrowded({ topology, crowds }: GraphState, plan: DeltaPlan, uuid: string): boolean {
  const node = topology.nodes.find(uuid);
  const size = node < 0 ? 0 : topology.in(node).length;
  return crowds.isPossibleAt(size) || crowds.isPossibleAt(size + (plan.linked.get(uuid) ?? 0));
}

/** Nodes that become crowded with this delta, or are so no longer, here or elsewhere. */
function crowdsTurning({ topology, crowds }: GraphState, plan: DeltaPlan): Set<number> {
  const turning = new Set<number>();
  for (const [uuid, more] of plan.linked) {
    const node = topology.nodes.find(uuid);
    if (node >= 0 && more !== 0 && crowds.turnsAt(node, topology.in(node).length + more)) turning.add(node);
  }
  return turning;
}

/** Those whose closures may hang on what lies behind an audience role, now or after the delta. */
function concernedByLevelZero(topology: Topology, plan: DeltaPlan): Set<number> {
  if (topology.links.levelZero.size + plan.levelZero.size === 0) return new Set();
  const found = reachLevelZero(topology, plan.sources, plan.levelZero);
  const leadsOn = [...plan.heads].some((uuid) => found.has(topology.nodes.find(uuid)));
  return leadsOn || plan.levelZero.size > 0 ? reachLevelZero(topology, plan.sources, plan.sources) : found;
}

export function found({ nodes }: Topology, uuids: Iterable<string>): number[] {
  return [...uuids].map((uuid) => nodes.find(uuid)).filter((node) => node >= 0);
}

/** All who reach one of these roles, audiences or not. */
export function behind(topology: Topology, roles: Iterable<number>, stops: (role: number) => boolean): Set<number> {
  const entered = new Set(roles);
  const members = new Reverse(topology, (role) => !entered.has(role) && stops(role));
  for (const role of entered) members.from(role);
  return members.managers().found;
}

export function usersOf({ nodes }: Topology, principals: Iterable<number>): string[] {
  return [...principals].filter((node) => nodes.isUser(node)).map((user) => nodes.uuid(user));
}
