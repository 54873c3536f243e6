import { oddOwnerPrefix } from "../../routes.ts";
import { subjectToken } from "../../subjects.ts";
import { isGroupUuid, isUserUuid } from "../../uuid.ts";
import type { Topology } from "./topology.ts";

/** `<user>.<project>.<subproject>.` for what `owner` owns; empty where no owner is known. */
export function ownerPrefix(topology: Topology, owner: number): string {
  if (owner < 0) return "";
  const { nodes, ownership } = topology;
  if (!nodes.isUser(owner) && !nodes.isGroup(owner)) return oddOwnerPrefix(nodes.uuid(owner));
  let prefix = "";
  for (const node of ownership.path(owner)) prefix += `${nodes.token(node)}.`;
  return prefix;
}

/** The same for an owner by its uuid, which the graph need not know. */
export function ownerPrefixOf(topology: Topology, owner: string | null): string {
  if (!owner) return "";
  const node = topology.nodes.find(owner);
  if (node >= 0) return ownerPrefix(topology, node);
  return isUserUuid(owner) || isGroupUuid(owner) ? `${subjectToken(owner)}.` : oddOwnerPrefix(owner);
}
