/** Short words for small clusters: `user("ann")` is a row, `U("ann")` its uuid. Names are padded with zeros. */
import { PermissionGraph } from "../../../core/graph/permission-graph.ts";
import type { ObjectFacts } from "../../../core/graph-types.ts";
import type { GraphRows, PermissionChange } from "../../../core/rows.ts";
import { wellKnown } from "../../../core/uuid.ts";

export const NOW = Date.UTC(2026, 0, 1);
export const KNOWN = wellKnown("zzzzz");

const padded = (infix: string, name: string) => `zzzzz-${infix}-${name.padEnd(15, "0")}`;
export const U = (name: string) => (name === "root" ? KNOWN.rootUser : padded("tpzed", name));
export const G = (name: string) => (name === "everybody" ? KNOWN.allUsersGroup : padded("j7d0g", name));
export const L = (name: string) => padded("o0j2j", name);
export const C = (name: string) => padded("4zz18", name);
export const Q = (name: string) => padded("xvhdp", name);
export const K = (name: string) => padded("dz642", name);

export function user(name: string, more: Partial<GraphRows["user"]> = {}): PermissionChange {
  const row = { id: 1, uuid: U(name), owner_uuid: U("root"), is_admin: name === "root", is_active: true };
  return { kind: "user", uuid: U(name), row: { ...row, redirect_to_user_uuid: null, ...more } };
}

export function project(name: string, owner: string, more: Partial<GraphRows["group"]> = {}): PermissionChange {
  const row = { id: 1, uuid: G(name), owner_uuid: owner, group_class: "project", trash_at: null, frozen_by_uuid: null };
  return { kind: "group", uuid: G(name), row: { ...row, ...more } };
}

export function role(name: string): PermissionChange {
  return project(name, U("root"), { group_class: "role" });
}

export function link(name: string, tail: string, head: string, level = "can_read"): PermissionChange {
  return { kind: "link", uuid: L(name), row: { id: 1, uuid: L(name), tail_uuid: tail, head_uuid: head, name: level } };
}

export function unlink(name: string): PermissionChange {
  return { kind: "link", uuid: L(name), row: null };
}

export function lives(uuid: string, owner: string): PermissionChange {
  return { kind: "owner", uuid, row: { id: 1, uuid, owner_uuid: owner } };
}

export function request(name: string, owner: string, container: string | null): PermissionChange {
  return { kind: "cr", uuid: Q(name), row: { id: 1, uuid: Q(name), owner_uuid: owner, container_uuid: container } };
}

export function collection(name: string, owner: string): ObjectFacts {
  return { uuid: C(name), resource: "collections", owner };
}

export function graphOf(audienceMin: number, ...changes: PermissionChange[]): PermissionGraph {
  const graph = new PermissionGraph({ clusterId: "zzzzz", roleGroupsVisibleToAll: true, audienceMin });
  graph.apply([user("root"), ...changes]);
  return graph;
}

/** Users `ua`, `ub`... who are in a role by links `inua`, `inub`... */
export function members(of: string, count: number, level = "can_read"): PermissionChange[] {
  const names = Array.from({ length: count }, (_, i) => `u${String.fromCharCode(97 + i)}`);
  return names.flatMap((name) => [user(name), link(`in${name}`, U(name), G(of), level)]);
}
