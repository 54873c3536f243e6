import { createHash } from "node:crypto";
import type { Grants } from "../../graph-types.ts";
import { MAX_ROUTE_BYTES, routeNames, routePatterns } from "../../routes.ts";
import { subjectToken } from "../../subjects.ts";
import { resourceOf } from "../../uuid.ts";
import { Circle } from "../store/circle.ts";
import { ownerPrefix } from "../store/owner-path.ts";
import type { Topology } from "../store/topology.ts";
import { type Closure, EMPTY } from "./closure.ts";
import { holdsOwned } from "./holds.ts";

/** What a user may be: the flags that matter to grants. */
export type Account = { readonly known: boolean; readonly admin: boolean; readonly seesRoles: boolean };

/**
 * Kinds that a user can own directly and that are read by their owner. Whoever reaches a user through two steps of user
 * management reads these and not the user's projects (V8), so that grant names the kinds one by one.
 */
const OWNED_RESOURCES = [
  "authorized_keys",
  "collections",
  "container_requests",
  "credentials",
  "keep_services",
  "links",
  "user_agreements",
  "users",
  "virtual_machines",
  "workflows",
] as const;

/** Kinds that a permission link makes readable. Links to containers, tokens and logs have no effect (docs/arvados-permissions.md 3.3). */
const SHARED_RESOURCES: ReadonlySet<string> = new Set(OWNED_RESOURCES.filter((resource) => resource !== "users"));

/** A user's grants: the fewest patterns that match the routes of what the closures reach, and no other route. */
export function compileGrants(
  topology: Topology,
  user: string,
  account: Account,
  reading: Closure,
  managing: Closure,
): Grants {
  const patterns = [...patternsOf(topology, user, account, reading, managing)].sort();
  return { patterns, hash: createHash("sha256").update(patterns.join("\n")).digest("base64url").slice(0, 22) };
}

/** For a user without an account: a pattern that matches nothing ever published, because an empty list would match everything. */
export function noGrants(topology: Topology, user: string): Grants {
  const nothing = { known: false, admin: false, seesRoles: false };
  return compileGrants(topology, user, nothing, EMPTY, EMPTY);
}

function patternsOf(
  topology: Topology,
  user: string,
  account: Account,
  reading: Closure,
  managing: Closure,
): Set<string> {
  if (!account.known) return new Set([routePatterns.nothing(user)]);
  if (account.admin) return new Set<string>([routePatterns.everything]);
  const found = new Set([routePatterns.user(subjectToken(user))]);
  if (account.seesRoles) found.add(routePatterns.visibleRoles);
  addReading(topology, found, reading);
  addManaging(topology, found, managing);
  return found;
}

function addReading(topology: Topology, found: Set<string>, closure: Closure): void {
  const { nodes } = topology;
  for (const user of closure.own) found.add(routePatterns.below(`${nodes.token(user)}.`));
  for (const user of closure.direct) {
    const token = nodes.token(user);
    for (const resource of OWNED_RESOURCES) found.add(routePatterns.owned(token, resource));
    found.add(routePatterns.ownedContainers(token));
    found.add(routePatterns.ownedDeleted(token));
  }
  for (const seed of closure.seeds) {
    const shown = shownBySeed(topology, closure, seed);
    if (shown < 0) continue;
    if (nodes.isGroup(shown)) addBounded(found, routePatterns.below(ownerPrefix(topology, shown)));
    else addBounded(found, objectPattern(topology, shown));
  }
  for (const user of closure.records) found.add(routeNames.record(nodes.uuid(user)));
  for (const source of closure.via) found.add(routePatterns.via(nodes.token(source)));
  for (const role of closure.audiences) {
    const token = nodes.token(role);
    found.add(routePatterns.role(token));
    found.add(routePatterns.via(token));
    found.add(routePatterns.managed(token));
  }
  for (const role of closure.indirect) {
    const token = nodes.token(role);
    found.add(routePatterns.role(token));
    found.add(routePatterns.via(token));
  }
}

function addManaging(topology: Topology, found: Set<string>, closure: Closure): void {
  const { nodes, ownership } = topology;
  for (const user of closure.own) found.add(routePatterns.manage(`${nodes.token(user)}.`));
  for (const user of closure.direct) {
    for (const pattern of routePatterns.manageOwned(nodes.token(user))) found.add(pattern);
  }
  for (const seed of closure.seeds) {
    const shown = shownBySeed(topology, closure, seed, true);
    if (shown < 0) continue;
    if (nodes.isGroup(shown)) addBounded(found, routePatterns.manage(ownerPrefix(topology, shown)));
    else addBounded(found, routePatterns.manageHead(ownerPrefix(topology, ownership.owner(shown)), nodes.token(shown)));
  }
  for (const role of closure.audiences) {
    found.add(routePatterns.manageRole(nodes.token(role)));
    found.add(routePatterns.manageManaged(nodes.token(role)));
  }
  for (const role of closure.indirect) found.add(routePatterns.manageRole(nodes.token(role)));
}

/**
 * The node whose pattern a seed brings: itself; the topmost group where it is part of a circle of owners; or -1 where a
 * pattern above it covers it, or where it is of a kind that links give no right to.
 */
export function shownBySeed(topology: Topology, closure: Closure, seed: number, managing = false): number {
  const { nodes, ownership } = topology;
  if (nodes.isUser(seed)) return -1;
  const owner = ownership.owner(seed);
  if (!nodes.isGroup(seed)) {
    if (holdsOwned(topology, [closure], owner)) return -1;
    return managing || SHARED_RESOURCES.has(resourceOf(nodes.uuid(seed)) ?? "") ? seed : -1;
  }
  // Up to the top: only there it is known that the chain is no circle, whose members would cover each other.
  let covered = false;
  const circle = new Circle(seed);
  for (let at = owner; at >= 0; at = ownership.owner(at)) {
    if (nodes.isUser(at)) return covered || closure.own.has(at) ? -1 : seed;
    if (!nodes.isGroup(at)) break;
    if (circle.closesAt(at)) {
      const top = ownership.circleTop(seed);
      return top >= 0 ? top : covered ? -1 : seed;
    }
    covered ||= closure.seeds.has(at);
  }
  return covered ? -1 : seed;
}

function objectPattern(topology: Topology, object: number): string {
  const { nodes, ownership } = topology;
  const path = `${ownerPrefix(topology, ownership.owner(object))}${nodes.token(object)}`;
  const resource = resourceOf(nodes.uuid(object));
  // A request brings its container, which is published below it.
  return resource === "container_requests" ? `${path}.>` : `${path}.${resource}`;
}

/** Nothing is published under a longer subject, so a longer pattern would only take room. */
function addBounded(found: Set<string>, pattern: string): void {
  if (pattern.length <= MAX_ROUTE_BYTES) found.add(pattern);
}
