import type { Closure } from "../reach/closure.ts";
import type { UserReach } from "./effect.ts";

/**
 * Must sessions with the old grants be cut, although the user lost no right? They may stay while everything behind their patterns is
 * still in the user's own closures: the user may read it, wherever it is. What has left the closures may still be in reach in another
 * way (a project above it, an audience role), which is no loss. But when that way ends, or the object moves back, no grant changes
 * at that time, and the old pattern would still match.
 */
export function leavesOutdated(before: UserReach, after: UserReach): boolean {
  if (after.account.admin) return false;
  return hasLost(before.reading.widest, after.reading.widest) || hasLost(before.managing.widest, after.managing.widest);
}

export function hasLost(before: Closure, after: Closure): boolean {
  if (before === after) return false;
  const inRole = (role: number): boolean => after.roles.has(role) || after.seeds.has(role);
  return (
    some(before.own, (user) => !after.own.has(user)) ||
    some(before.direct, (user) => !after.own.has(user) && !after.direct.has(user)) ||
    some(before.seeds, (seed) => !after.seeds.has(seed)) ||
    some(before.audiences, (role) => !inRole(role)) ||
    some(before.indirect, (role) => !after.indirect.has(role) && !inRole(role) && !after.sources.has(role)) ||
    some(before.via, (tail) => !after.sources.has(tail)) ||
    some(before.records, (user) => !after.records.has(user) && !after.seeds.has(user) && !after.own.has(user))
  );
}

function some(nodes: ReadonlySet<number>, is: (node: number) => boolean): boolean {
  for (const node of nodes) if (is(node)) return true;
  return false;
}
