import { Circle } from "../store/circle.ts";
import { ownerStep } from "../store/ownership.ts";
import type { Topology } from "../store/topology.ts";
import type { Closure } from "./closure.ts";

/**
 * What closures reach, taken together. All in all a few set look-ups per owner above the object: this is what `check` costs,
 * so there are no callbacks here. Nodes may be -1 = not known to the graph.
 */

/** A group, with all that lies below it: level >= 1 on the group. Ends in circles of owners too (see `someAbove`). */
export function holdsGroup(topology: Topology, closures: readonly Closure[], group: number): boolean {
  if (group < 0 || !topology.nodes.isGroup(group)) return false;
  const { ownership } = topology;
  const circle = new Circle();
  for (let at = group; !circle.closesAt(at); ) {
    const up = ownership.up(at);
    if (ownerStep.isSeed(up) && hasSeed(closures, at)) return true;
    const owner = ownerStep.owner(up);
    if (ownerStep.ownerIsUser(up)) return hasOwn(closures, owner);
    if (!ownerStep.ownerIsGroup(up)) return false;
    at = owner;
  }
  return false;
}

/** What `owner` owns directly: level on the owner and `traverse_owned` (owner check of docs/arvados-permissions.md 3.3). */
export function holdsOwned(topology: Topology, closures: readonly Closure[], owner: number): boolean {
  if (owner < 0) return false;
  if (!topology.nodes.isUser(owner)) return holdsGroup(topology, closures, owner);
  return hasOwn(closures, owner) || hasDirect(closures, owner);
}

/** Any object that is neither group nor user. */
export function holdsObject(topology: Topology, closures: readonly Closure[], node: number, owner: number): boolean {
  if (node >= 0 && ownerStep.isSeed(topology.ownership.up(node)) && hasSeed(closures, node)) return true;
  return holdsOwned(topology, closures, owner);
}

/** What a link to a group or an object gives: the node with all below it. */
export function holdsSeed(topology: Topology, closures: readonly Closure[], node: number): boolean {
  return topology.nodes.isGroup(node)
    ? holdsGroup(topology, closures, node)
    : holdsObject(topology, closures, node, topology.ownership.owner(node));
}

/** A user's record. */
export function holdsUser(topology: Topology, closures: readonly Closure[], user: number): boolean {
  if (user < 0) return false;
  if (hasOwn(closures, user) || hasSeed(closures, user)) return true;
  return holdsOwned(topology, closures, topology.ownership.owner(user));
}

export function hasOwn(closures: readonly Closure[], user: number): boolean {
  for (const closure of closures) if (closure.own.has(user)) return true;
  return false;
}

export function hasDirect(closures: readonly Closure[], user: number): boolean {
  for (const closure of closures) if (closure.direct.has(user)) return true;
  return false;
}

function hasSeed(closures: readonly Closure[], node: number): boolean {
  for (const closure of closures) if (closure.seeds.has(node)) return true;
  return false;
}
