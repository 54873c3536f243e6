import type { GroupRow, LinkRow, OwnerRow, RequestRow, UserRow } from "../../rows.ts";
import { isGroupUuid, isUserUuid, wellKnown } from "../../uuid.ts";
import { type IntColumn, Nodes } from "./nodes.ts";
import { Ownership } from "./ownership.ts";
import { Links, levelOf, type PermissionEdge } from "./permission-links.ts";
import { Requests } from "./requests.ts";
import { SourceIndex } from "./source-index.ts";

const HAS_ROW = 1;
const ADMIN = 2;
const ACTIVE = 4;
const REDIRECTED = 8;
const ROLE = 16;
const FROZEN = 32;
const PROJECT = 64;
const FILTER = 128;
const CLASS_FLAGS: Readonly<Record<string, number>> = { role: ROLE, project: PROJECT, filter: FILTER };

/**
 * The rows as a graph: nodes, edges, and the few indexes that walks need.
 *
 * - Edges are Arvados' view `permission_graph_edges`: ownership of users and groups (level 3), permission links.
 * - A *source* is a group whose edges a walk follows: it has outgoing links, owns users, or is a role. A walk from a user
 *   follows links from source to source and never descends into projects: that a project below a granted one is granted too
 *   is found from below, by walking up its owners. (`source-index.ts` has the exceptions: sources that
 *   are themselves reached by ownership.)
 */
export class Topology {
  readonly nodes = new Nodes();
  readonly ownership = new Ownership(this.nodes);
  readonly requests = new Requests(this.nodes);
  readonly links = new Links();
  readonly sources = new SourceIndex(this.nodes);
  readonly known: ReturnType<typeof wellKnown>;
  /** Users that have a row. */
  readonly users = new Set<number>();
  /** Groups of class `role`, and the two that are always everybody's. */
  readonly roles = new Set<number>();

  /** Heads of links that are no groups. Few, so that a question about any object finds out fast that no link names it. */
  readonly #sharedObjects = new Map<string, number>();
  readonly #flags: IntColumn = this.nodes.column(0);
  readonly #trashAt = new Map<number, number>();
  /** An object's owner by its `owner` row; if it has a `cr` row, that one counts. */
  readonly #ownerRow = new Map<number, number>();
  readonly #requestOwner = new Map<number, number>();

  constructor(clusterId: string) {
    this.known = wellKnown(clusterId);
  }

  // Reading.

  out(node: number): readonly PermissionEdge[] {
    return this.links.out(node);
  }

  in(node: number): readonly PermissionEdge[] {
    return this.links.in(node);
  }

  /** The node of an object, or user, that some link points at, or -1. */
  findShared(uuid: string): number {
    return this.#sharedObjects.get(uuid) ?? -1;
  }

  /** Has a user or group its row? */
  hasRow(node: number): boolean {
    return node >= 0 && (this.#flags.get(node) & HAS_ROW) !== 0;
  }

  /** A user who can log in at all: the row is there and was not merged into another. */
  isAccount(user: number): boolean {
    return (this.#flags.get(user) & (HAS_ROW | REDIRECTED)) === HAS_ROW;
  }

  isAdmin(user: number): boolean {
    return (this.#flags.get(user) & ADMIN) !== 0;
  }

  isActive(user: number): boolean {
    return (this.#flags.get(user) & ACTIVE) !== 0;
  }

  isRole(group: number): boolean {
    return (this.#flags.get(group) & ROLE) !== 0;
  }

  /** The word for the group: `role`, `project`, `filter group`, or `group` if its row is missing or says something different. */
  groupWord(group: number): string {
    const flags = this.#flags.get(group);
    return flags & ROLE ? "role" : flags & PROJECT ? "project" : flags & FILTER ? "filter group" : "group";
  }

  trashAt(group: number): number | null {
    return this.#trashAt.get(group) ?? null;
  }

  isFrozen(group: number): boolean {
    return (this.#flags.get(group) & FROZEN) !== 0;
  }

  /** Is the group, or one above it, in the trash at that time (docs/arvados-permissions.md 3.3: trash)? */
  isTrashed(group: number, now: number): boolean {
    return (
      this.#trashAt.size > 0 && this.ownership.someGroupAbove(group, (at) => (this.#trashAt.get(at) ?? now + 1) <= now)
    );
  }

  /** Is the group, or one above it, frozen (docs/arvados-permissions.md 3.3: frozen)? */
  isFrozenBelow(group: number): boolean {
    return this.ownership.someGroupAbove(group, (at) => this.isFrozen(at));
  }

  // Writing. Each gets the row's new value; null = the row is deleted.

  setUser(uuid: string, row: UserRow | null): void {
    if (!isUserUuid(uuid)) return;
    const flags =
      row === null
        ? 0
        : HAS_ROW |
          (row.is_admin === true ? ADMIN : 0) |
          (row.is_active === true ? ACTIVE : 0) |
          (row.redirect_to_user_uuid ? REDIRECTED : 0);
    this.#setPrincipal(uuid, flags, row?.owner_uuid || null, (user) => {
      if (row === null) this.users.delete(user);
      else this.users.add(user);
    });
  }

  setGroup(uuid: string, row: GroupRow | null): void {
    if (!isGroupUuid(uuid)) return;
    const flags = row === null ? 0 : HAS_ROW | classFlag(row.group_class) | (row.frozen_by_uuid ? FROZEN : 0);
    this.#setPrincipal(uuid, flags, row?.owner_uuid || null, (group) => {
      if (row === null || row.trash_at === null || row.trash_at === undefined) this.#trashAt.delete(group);
      else this.#trashAt.set(group, row.trash_at);
      this.#place(group);
    });
  }

  setLink(uuid: string, row: LinkRow | null): void {
    const before = this.links.get(uuid);
    // The new ends are retained before the old ones are released, so that a node that stays is never freed in between.
    const tail = row === null ? -1 : this.nodes.retain(row.tail_uuid);
    const head = row === null ? -1 : this.nodes.retain(row.head_uuid);
    if (before !== undefined) {
      this.links.remove(before);
      this.#placeEnds(before);
      this.nodes.release(before.tail);
      this.nodes.release(before.head);
    }
    if (row === null) return;
    const edge: PermissionEdge = { uuid, name: row.name, tail, head, level: levelOf(row.name) };
    this.links.add(edge);
    this.#placeEnds(edge);
  }

  setOwner(uuid: string, row: OwnerRow | null): void {
    if (isUserUuid(uuid) || isGroupUuid(uuid)) return;
    this.#setObject(uuid, this.#ownerRow, row);
  }

  setRequest(uuid: string, row: RequestRow | null): void {
    if (isUserUuid(uuid) || isGroupUuid(uuid)) return;
    this.#setObject(uuid, this.#requestOwner, row);
    const request = this.nodes.find(uuid);
    if (request < 0) return;
    this.requests.set(request, row?.container_uuid ? this.nodes.retain(row.container_uuid) : -1);
  }

  /** Users and groups: flags and the owner edge. */
  #setPrincipal(uuid: string, flags: number, owner: string | null, then: (node: number) => void): void {
    const known = this.nodes.find(uuid);
    const had = known >= 0 && this.hasRow(known);
    if (!had && flags === 0) return;
    const node = had ? known : this.nodes.retain(uuid);
    this.#flags.set(node, flags);
    const before = this.ownership.owner(node);
    const after = owner === null ? -1 : this.nodes.retain(owner);
    if (before === after) {
      if (after >= 0) this.nodes.release(after);
    } else {
      this.ownership.set(node, after, true);
      if (before >= 0) this.#place(before);
      if (after >= 0) this.#place(after);
    }
    then(node);
    if (flags === 0) this.nodes.release(node);
  }

  #setObject(uuid: string, rows: Map<number, number>, row: { owner_uuid: string } | null): void {
    const known = this.nodes.find(uuid);
    const had = known >= 0 && rows.has(known);
    if (!had && row === null) return;
    const node = had ? known : this.nodes.retain(uuid);
    const before = rows.get(node);
    if (row === null) rows.delete(node);
    else rows.set(node, row.owner_uuid ? this.nodes.retain(row.owner_uuid) : -1);
    if (before !== undefined && before >= 0) this.nodes.release(before);
    const owner = this.#requestOwner.get(node) ?? this.#ownerRow.get(node) ?? -1;
    if (owner !== this.ownership.owner(node)) {
      if (owner >= 0) this.nodes.retain(this.nodes.uuid(owner));
      this.ownership.set(node, owner, this.#isHead(node));
    }
    if (row === null) this.nodes.release(node);
  }

  #isHead(node: number): boolean {
    return this.links.in(node).length > 0;
  }

  #placeEnds({ tail, head }: PermissionEdge): void {
    this.#place(tail);
    this.#place(head);
  }

  /** Updates the indexes for a node whose links, users, class or owner have changed. */
  #place(node: number): void {
    if (!this.nodes.isGroup(node)) {
      this.#placeShared(node, this.#isHead(node));
      return;
    }
    const named = this.hasRow(node) || this.links.out(node).length > 0 || this.#isHead(node);
    const role = this.isRole(node) || (named && this.isEverybody(node));
    const isSource = role || this.links.out(node).length > 0 || this.ownership.usersOwnedBy(node) !== undefined;
    this.ownership.setLinked(node, role || this.#isHead(node));
    this.sources.put(node, isSource, this.ownership.owner(node));
    if (role) this.roles.add(node);
    else this.roles.delete(node);
  }

  /** Objects hang in their owner's list, and users and objects can be found, only while a link points at them. */
  #placeShared(node: number, shared: boolean): void {
    const uuid = this.nodes.uuid(node);
    const before = this.#sharedObjects.has(uuid);
    if (shared === before) return;
    this.ownership.setLinked(node, shared);
    if (shared) this.#sharedObjects.set(uuid, node);
    else this.#sharedObjects.delete(uuid);
    if (this.nodes.isUser(node)) return;
    if (shared) this.ownership.list(node);
    else this.ownership.unlist(node);
  }

  /** The all-users and the anonymous group: everybody is in them, so they are roles whatever their rows say. */
  isEverybody(node: number): boolean {
    const uuid = this.nodes.uuid(node);
    return uuid === this.known.allUsersGroup || uuid === this.known.anonymousGroup;
  }
}

function classFlag(groupClass: string | null): number {
  return groupClass !== null && Object.hasOwn(CLASS_FLAGS, groupClass) ? (CLASS_FLAGS[groupClass] as number) : 0;
}
