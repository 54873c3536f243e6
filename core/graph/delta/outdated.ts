import type { Closure } from "../reach/closure.ts";
import type { UserReach } from "./effect.ts";

/**
 * May sessions with the grants of before go on? They may while all that their patterns were made for is still in the user's own
 * closures: wherever it lives then, its user may read it. What has left them may be within reach in another way (a project above
 * it, an audience role), and so is no loss; but when that way goes, or the thing moves back to where it was, no grant of then
 * changes, and the old pattern would still hear.
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
