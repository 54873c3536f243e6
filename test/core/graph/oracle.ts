/**
 * Arvados' rules written down a second time, naively and straight from the fact sheet (3.1 to 3.3), to judge the graph where
 * no vector reaches: circles, missing rows, hostile names. Slow on purpose; itself judged by the vectors (oracle.test.ts).
 */
import type { ObjectFacts } from "../../../core/graph-types.ts";
import type { GraphRows, PermissionChange } from "../../../core/rows.ts";

type Table<K extends keyof GraphRows> = Map<string, GraphRows[K]>;

export type Tables = {
  user: Table<"user">;
  group: Table<"group">;
  link: Table<"link">;
  owner: Table<"owner">;
  cr: Table<"cr">;
};

/** A row of materialized_permissions. */
type Permission = { level: number; traverse: boolean };

const LEVEL: Record<string, number> = { can_read: 1, can_login: 1, can_write: 2, can_manage: 3 };

export function oracleTables(changes: Iterable<PermissionChange>): Tables {
  const tables: Tables = { user: new Map(), group: new Map(), link: new Map(), owner: new Map(), cr: new Map() };
  for (const { kind, uuid, row } of changes) {
    if (row === null) tables[kind].delete(uuid);
    else (tables[kind] as Map<string, unknown>).set(uuid, row);
  }
  return tables;
}

const isUser = (uuid: string) => /^.{5}-tpzed-.{15}$/s.test(uuid);
const isGroup = (uuid: string) => /^.{5}-j7d0g-.{15}$/s.test(uuid);

export class Oracle {
  readonly #tables: Tables;
  readonly #rolesVisible: boolean;
  readonly #edges = new Map<string, { head: string; value: number }[]>();
  readonly #permissions = new Map<string, Map<string, Permission>>();

  constructor(tables: Tables, rolesVisible: boolean) {
    this.#tables = tables;
    this.#rolesVisible = rolesVisible;
    const edge = (tail: string, head: string, value: number) => {
      this.#edges.set(tail, [...(this.#edges.get(tail) ?? []), { head, value }]);
    };
    for (const { uuid, owner_uuid } of tables.group.values())
      if (isGroup(uuid) && owner_uuid) edge(owner_uuid, uuid, 3);
    for (const { uuid, owner_uuid } of tables.user.values()) if (isUser(uuid) && owner_uuid) edge(owner_uuid, uuid, 3);
    for (const { tail_uuid, head_uuid, name } of tables.link.values()) {
      edge(tail_uuid, head_uuid, Object.hasOwn(LEVEL, name) ? (LEVEL[name] as number) : 0);
    }
  }

  check(me: string, object: ObjectFacts, now: number): boolean {
    const user = this.#tables.user.get(me);
    if (!user || !isUser(me) || user.redirect_to_user_uuid) return false;
    const { uuid, resource } = object;
    const owner = this.#ownerOf(object);
    const inTrash = this.#above(owner).some((group) => (group.trash_at ?? now + 1) <= now);
    switch (resource) {
      case "containers":
        return (
          user.is_admin ||
          [...this.#tables.cr.values()].some(
            (request) =>
              request.container_uuid === uuid &&
              !this.#above(request.owner_uuid).some((group) => (group.trash_at ?? now + 1) <= now) &&
              this.#generic(me, request.uuid, request.owner_uuid),
          )
        );
      case "links":
        if (object.link?.linkClass === "permission") return this.#permissionLink(me, user.is_admin, object.link);
        return !inTrash && (user.is_admin || this.#generic(me, uuid, owner));
      case "groups":
      case "collections":
      case "container_requests": {
        const own = resource === "groups" ? (this.#tables.group.get(uuid)?.trash_at ?? null) : (object.trashAt ?? null);
        const trashed = inTrash || (resource !== "container_requests" && own !== null && own <= now);
        if (user.is_admin) return true;
        if (trashed && this.#above(owner).some((group) => Boolean(group.frozen_by_uuid))) return false;
        if (resource !== "groups") return this.#generic(me, uuid, owner);
        const role = this.#tables.group.get(uuid)?.group_class === "role";
        return (role && this.#rolesVisible && user.is_active) || this.#direct(me, uuid);
      }
      case "users": {
        const row = this.#tables.user.get(uuid);
        if (inTrash || row?.redirect_to_user_uuid) return false;
        if (user.is_admin || uuid === me) return true;
        return row?.is_active === true && this.#generic(me, uuid, owner);
      }
      default:
        return !inTrash && (user.is_admin || this.#generic(me, uuid, owner));
    }
  }

  /** `deletable_seen`, and admins. */
  seesDeletion(me: string, owner: string): boolean {
    const user = this.#tables.user.get(me);
    if (!user || !isUser(me) || user.redirect_to_user_uuid) return false;
    return user.is_admin || this.#everybodyIAm(me, 1).some((one) => this.#owned(one, owner, 1));
  }

  #permissionLink(me: string, admin: boolean, link: NonNullable<ObjectFacts["link"]>): boolean {
    if (admin || link.tail === me || link.head === me) return true;
    const owner =
      this.#tables.group.get(link.head)?.owner_uuid ??
      this.#tables.user.get(link.head)?.owner_uuid ??
      link.headOwner ??
      null;
    return this.#everybodyIAm(me, 3).some(
      (one) => (this.#of(one).get(link.head)?.level ?? 0) >= 3 || (owner !== null && this.#owned(one, owner, 3)),
    );
  }

  #generic(me: string, uuid: string, owner: string | null): boolean {
    return (
      this.#direct(me, uuid) || (owner !== null && this.#everybodyIAm(me, 1).some((one) => this.#owned(one, owner, 1)))
    );
  }

  #direct(me: string, uuid: string): boolean {
    return this.#everybodyIAm(me, 1).some((one) => (this.#of(one).get(uuid)?.level ?? 0) >= 1);
  }

  #owned(user: string, owner: string, level: number): boolean {
    const permission = this.#of(user).get(owner);
    return permission !== undefined && permission.level >= level && permission.traverse;
  }

  /** UU. */
  #everybodyIAm(me: string, level: number): string[] {
    return [...this.#of(me)]
      .filter(([target, permission]) => isUser(target) && permission.traverse && permission.level >= level)
      .map(([target]) => target);
  }

  /** materialized_permissions of one user: the fixpoint of docs/arvados-permissions.md 3.1 as it stands there. */
  #of(user: string): Map<string, Permission> {
    const known = this.#permissions.get(user);
    if (known) return known;
    const rows = new Map<string, Permission>();
    this.#permissions.set(user, rows);
    if (!this.#tables.user.has(user) || !isUser(user)) return rows;
    const seen = new Set<string>();
    const todo = [{ target: user, value: 3, traverse: true, start: true }];
    for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
      const key = JSON.stringify(at);
      if (seen.has(key)) continue;
      seen.add(key);
      const { target, value, traverse, start } = at;
      const row = rows.get(target);
      rows.set(target, {
        level: Math.max(row?.level ?? 0, value),
        traverse: (row?.traverse ?? false) || traverse,
      });
      if (!isGroup(target) && !start) continue;
      for (const edge of this.#edges.get(target) ?? []) {
        const on = isGroup(edge.head) || (isUser(edge.head) && edge.value >= 3);
        todo.push({ target: edge.head, value: Math.min(edge.value, value), traverse: on, start: false });
      }
    }
    return rows;
  }

  #ownerOf(object: ObjectFacts): string | null {
    if (object.resource === "groups") return this.#tables.group.get(object.uuid)?.owner_uuid ?? object.owner;
    if (object.resource === "users") return this.#tables.user.get(object.uuid)?.owner_uuid ?? object.owner;
    return object.owner;
  }

  /** The groups from an owner up. */
  #above(owner: string | null): GraphRows["group"][] {
    const found: GraphRows["group"][] = [];
    for (let at = owner; at !== null && isGroup(at); ) {
      const row: GraphRows["group"] | undefined = this.#tables.group.get(at);
      if (row === undefined || found.includes(row)) break;
      found.push(row);
      at = row.owner_uuid;
    }
    return found;
  }
}
