/**
 * Routes: what follows `arvados.<c>.live.` (docs/subjects.md 2), and the patterns that match them. The permission graph publishes by the
 * ones and grants by the others, so both stand here side by side. Pure.
 *
 * A subject token that begins with `@` is never made from a uuid: `subjectToken` encodes that character. A `prefix` is an owner path with
 * a dot behind each of its tokens; a `...Token` is a uuid as a subject token.
 */
import { subjectToken } from "./subjects.ts";

/** A longer route (in bytes; all of it is ASCII) is not published: nats-server's protocol line ends at 4,096. */
export const MAX_ROUTE_BYTES = 3000;

/** `<uuid>.<resource>`: the last two tokens of a route. */
export function objectName(uuid: string, resource: string): string {
  return `${subjectToken(uuid)}.${resource}`;
}

/** The prefix for what belongs to an owner that is not a user and not a group: nobody has a right through it, so no grant may match. */
export function oddOwnerPrefix(owner: string): string {
  return `@none.${subjectToken(owner)}.`;
}

export const routeNames = {
  admin: (uuid: string, resource: string) => `@admin.${objectName(uuid, resource)}`,
  user: (user: string, uuid: string, resource: string) => `@user.${subjectToken(user)}.${objectName(uuid, resource)}`,
  visibleRole: (group: string) => `@roles.${objectName(group, "groups")}`,
  /** A user's record, for all who follow the links of the source: they reach the tail of a link to it. */
  via: (sourceToken: string, user: string) => `@via.${sourceToken}.${objectName(user, "users")}`,
  /** The same for all who read the record of a user to whom many links point (crowds.ts). */
  record: (user: string) => `@via.@.${objectName(user, "users")}`,
  role: (roleToken: string, route: string) => `@role.${roleToken}.${route}`,
  managed: (roleToken: string, route: string) => `@managed.${roleToken}.${route}`,
  /** For one heavy user. What is about the user itself has two tokens behind the user's and no path. */
  copy: (userToken: string, route: string) => `@user.${userToken}.${route}`,
  /** A deletion, where grants on the object itself must not match. */
  deleted: (prefix: string, uuid: string, resource: string) => `${prefix}@deleted.${objectName(uuid, resource)}`,
  /** A permission link, for those who manage its head: the head itself if it is a user or group, otherwise below its owner. */
  manage: (prefix: string, link: string) => `@manage.${prefix}${objectName(link, "links")}`,
  /** The same by the head's owner, for heads that are no groups: nothing that is granted with a project of the owner's. */
  manageOwned: (prefix: string, head: string, link: string) =>
    `@manage.${prefix}@.${subjectToken(head)}.${objectName(link, "links")}`,
  /** A copy of a permission link for an audience. */
  manageCopy: (copy: string) => `@manage.${copy}`,
};

/** Patterns of grants. None ends in `*`: nats-server would then admit `>` too. */
export const routePatterns = {
  everything: ">",
  /** Matches nothing that is ever published. It stands where a list would be empty, because an empty list allows everything. */
  nothing: (user: string) => `@none.${subjectToken(user)}`,
  user: (userToken: string) => `@user.${userToken}.>`,
  visibleRoles: "@roles.>",
  via: (sourceToken: string) => `@via.${sourceToken}.>`,
  role: (roleToken: string) => `@role.${roleToken}.>`,
  managed: (roleToken: string) => `@managed.${roleToken}.>`,
  below: (prefix: string) => `${prefix}>`,
  /** All objects of a kind that a user owns directly. */
  owned: (userToken: string, resource: string) => `${userToken}.*.${resource}`,
  ownedContainers: (userToken: string) => `${userToken}.*.*.containers`,
  ownedDeleted: (userToken: string) => `${userToken}.@deleted.>`,
  manage: (prefix: string) => `@manage.${prefix}>`,
  manageHead: (prefix: string, headToken: string) => `@manage.${prefix}@.${headToken}.>`,
  manageOwned: (userToken: string) => [`@manage.${userToken}.*.links`, `@manage.${userToken}.@.>`],
  manageRole: (roleToken: string) => `@manage.@role.${roleToken}.>`,
  manageManaged: (roleToken: string) => `@manage.@managed.${roleToken}.>`,
};

/** `name` at a number of unknown owners below a prefix. */
export function atDepth(prefix: string, depth: number, name: string): string {
  return prefix + "*.".repeat(depth) + name;
}

/** The object that the last two tokens of a pattern name; null where they are open. */
export function objectOfPattern(pattern: string): string | null {
  return /[*>]/.test(pattern.slice(-1)) ? null : pattern.split(".").slice(-2).join(".");
}

/**
 * The part of a pattern that matches only routes ending in `name`, an `objectName`, where the object's owners are unknown: one pattern
 * for each number of owners up to `depth`, below what is granted. `*` as the uuid in `name` stands for any object of the kind.
 */
export function narrowedTo(pattern: string, name: string, depth: number): string[] {
  if (pattern === routePatterns.everything) return depths("", name, depth);
  // Records of users and roles are never of an unknown place.
  if (pattern.startsWith("@via.") || pattern.startsWith("@roles.")) return [];
  if (pattern.startsWith("@manage.") && !name.endsWith(".links")) return [];
  if (pattern.endsWith(".>")) return depths(pattern.slice(0, -1), name, depth);
  const [uuid, resource] = name.split(".") as [string, string];
  const tokens = pattern.split(".");
  const last = tokens.pop();
  const beforeLast = tokens.pop();
  if (last !== resource || (beforeLast !== "*" && beforeLast !== uuid)) return [];
  return [[...tokens, name].join(".")];
}

function depths(prefix: string, name: string, most: number): string[] {
  return Array.from({ length: most + 1 }, (_, depth) => atDepth(prefix, depth, name));
}
