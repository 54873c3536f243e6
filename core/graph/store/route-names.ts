import { subjectToken } from "../../subjects.ts";
import { isGroupUuid, isUserUuid } from "../../uuid.ts";
import type { Topology } from "./topology.ts";

/**
 * Subject tails: what follows `arvados.<c>.live.` (docs/subjects.md 2). Used alike for routes and for grants, so that the two cannot
 * drift apart. Tokens that begin with `@` are never made from a uuid: `subjectToken` encodes that character.
 */

/** A tail longer than this (bytes; all of it is ASCII) is not published: nats-server's protocol line ends at 4,096. */
export const MAX_ROUTE_BYTES = 3000;

/** `<user>.<project>.<subproject>.` for what `owner` owns; empty where no owner is known. */
export function ownerPrefix(topology: Topology, owner: number): string {
  if (owner < 0) return "";
  const { nodes, ownership } = topology;
  if (!nodes.isUser(owner) && !nodes.isGroup(owner)) return oddPrefix(nodes.uuid(owner));
  let prefix = "";
  for (const node of ownership.path(owner)) prefix += `${nodes.token(node)}.`;
  return prefix;
}

/** The same for an owner by its uuid, which the graph need not know. */
export function ownerPrefixOf(topology: Topology, owner: string | null): string {
  if (!owner) return "";
  const node = topology.nodes.find(owner);
  if (node >= 0) return ownerPrefix(topology, node);
  return isUserUuid(owner) || isGroupUuid(owner) ? `${subjectToken(owner)}.` : oddPrefix(owner);
}

/** An owner that is neither user nor group gives nobody anything; what it owns stays out of reach of its own grants. */
function oddPrefix(owner: string): string {
  return `@none.${subjectToken(owner)}.`;
}

export const routeNames = {
  admin: (uuid: string, resource: string) => `@admin.${subjectToken(uuid)}.${resource}`,
  user: (user: string, uuid: string, resource: string) =>
    `@user.${subjectToken(user)}.${subjectToken(uuid)}.${resource}`,
  visibleRole: (group: string) => `@roles.${subjectToken(group)}.groups`,
  /** A user's record, for whoever reaches the tail of a link to it. */
  via: (tailToken: string, user: string) => `@via.${tailToken}.${subjectToken(user)}.users`,
  /** The same for whoever reads the record of a user to whom many links point (crowds.ts). */
  record: (user: string) => `@via.@.${subjectToken(user)}.users`,
  role: (roleToken: string, tail: string) => `@role.${roleToken}.${tail}`,
  managed: (roleToken: string, tail: string) => `@managed.${roleToken}.${tail}`,
  /** For one heavy user; what is about the user itself has two tokens behind the user's and no path. */
  copy: (userToken: string, tail: string) => `@user.${userToken}.${tail}`,
  /** A deletion, where grants on the object itself must not match. */
  deleted: (prefix: string, uuid: string, resource: string) => `${prefix}@deleted.${subjectToken(uuid)}.${resource}`,
  /** A permission link, for those who manage its head: the head itself if it is a user or group, else below its owner. */
  manage: (prefix: string, link: string) => `@manage.${prefix}${subjectToken(link)}.links`,
  /** The same by the head's owner, for heads that are no groups: nothing that is granted with a project of the owner's. */
  manageOwned: (prefix: string, head: string, link: string) =>
    `@manage.${prefix}@.${subjectToken(head)}.${subjectToken(link)}.links`,
};
