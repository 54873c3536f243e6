import type { GroupRow, LinkRow, OwnerRow, RequestRow, UserRow } from "../rows.ts";
import { wellKnown } from "../uuid.ts";
import { type IntColumn, looksLikeGroup, looksLikeUser, Nodes } from "./nodes.ts";
import { Ownership } from "./ownership.ts";
import { Requests } from "./requests.ts";

/** A permission link. Level by its name: can_read and can_login 1, can_write 2, can_manage 3, any other 0 (facts 2). */
export type Edge = {
  readonly uuid: string;
  readonly name: string;
  readonly tail: number;
  readonly head: number;
  readonly level: number;
};

const LEVELS: Readonly<Record<string, number>> = { can_read: 1, can_login: 1, can_write: 2, can_manage: 3 };

export function levelOf(name: string): number {
  return Object.hasOwn(LEVELS, name) ? (LEVELS[name] as number) : 0;
}

const HAS_ROW = 1;
const ADMIN = 2;
const ACTIVE = 4;
const REDIRECTED = 8;
const ROLE = 16;
const FROZEN = 32;
const PROJECT = 64;
const FILTER = 128;
const CLASS_FLAGS: Readonly<Record<string, number>> = { role: ROLE, project: PROJECT, filter: FILTER };

const NO_EDGES: readonly Edge[] = [];

/** Where `#tailPlace` finds no user: the group is no tail, or is owned by a group, or by nobody known. */
const NO_TAIL = -1;
const NESTED = -2;
const ROOTLESS = -3;

/**
 * The rows as a graph: nodes, edges, and the few indexes that walks need.
 *
 * - Edges are Arvados' view `permission_graph_edges`: ownership of users and groups (level 3), permission links.
 * - A *tail* is a group with edges worth following: it has outgoing links, owns users, or is a role. A walk from a user
 *   follows links from tail to tail and never descends into projects: that a project below a granted one is granted too
 *   is found from below, by walking up its owners. `ownedTails` and `nestedTails` are the tails that are themselves
 *   reached by ownership.
 */
export class Topology {
  readonly nodes = new Nodes();
  readonly ownership = new Ownership(this.nodes);
  readonly requests = new Requests(this.nodes);
  /** Links by uuid. */
  readonly links = new Map<string, Edge>();
  readonly known: ReturnType<typeof wellKnown>;
  /** Tails owned by a group: reached wherever one of the groups above them is. */
  readonly nestedTails = new Set<number>();
  /** Users that have a row. */
  readonly users = new Set<number>();
  /** Groups of class `role`, and the two that are always everybody's. */
  readonly roles = new Set<number>();

  /** Heads of links that are no groups. Few, so that a question about any object finds out fast that no link names it. */
  readonly #sharedObjects = new Map<string, number>();
  readonly #flags: IntColumn = this.nodes.column(0);
  readonly #tailPlace: IntColumn = this.nodes.column(NO_TAIL);
  readonly #trashAt = new Map<number, number>();
  /** An object's owner as its `owner` row tells; its `cr` row, where there is one, goes first. */
  readonly #ownerRow = new Map<number, number>();
  readonly #requestOwner = new Map<number, number>();
  readonly #out = new Map<number, Edge[]>();
  readonly #in = new Map<number, Edge[]>();
  readonly #ownedTails = new Map<number, Set<number>>();
  #levelZeroLinks = 0;

  constructor(clusterId: string) {
    this.known = wellKnown(clusterId);
  }

  // What is asked of it.

  /** Are there links of unknown names? They give no level, yet reach groups that hand on `traverse_owned` (facts 3.1). */
  get hasLevelZero(): boolean {
    return this.#levelZeroLinks > 0;
  }

  out(node: number): readonly Edge[] {
    return this.#out.get(node) ?? NO_EDGES;
  }

  in(node: number): readonly Edge[] {
    return this.#in.get(node) ?? NO_EDGES;
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

  /** What a person calls the group: `role`, `project`, `filter group`, or `group` where its row is missing or says else. */
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

  /** Is the group, or one above it, in the trash by now (facts 3.3: trashed_groups)? */
  isTrashed(group: number, now: number): boolean {
    return (
      this.#trashAt.size > 0 && this.ownership.someGroupAbove(group, (at) => (this.#trashAt.get(at) ?? now + 1) <= now)
    );
  }

  /** Is the group, or one above it, frozen (facts 3.3: frozen_groups)? */
  isFrozenBelow(group: number): boolean {
    return this.ownership.someGroupAbove(group, (at) => this.isFrozen(at));
  }

  isTail(group: number): boolean {
    return this.#tailPlace.get(group) !== NO_TAIL;
  }

  ownedTails(user: number): ReadonlySet<number> | undefined {
    return this.#ownedTails.get(user);
  }

  // Rows as they stand, less what the graph has no use for.

  userRow(user: number, owner_uuid: string): UserRow {
    const redirected = (this.#flags.get(user) & REDIRECTED) !== 0;
    return {
      id: 0,
      uuid: this.nodes.uuid(user),
      owner_uuid,
      is_admin: this.isAdmin(user),
      is_active: this.isActive(user),
      redirect_to_user_uuid: redirected ? "somebody" : null,
    };
  }

  groupRow(group: number, owner_uuid: string): GroupRow {
    const word = this.groupWord(group);
    return {
      id: 0,
      uuid: this.nodes.uuid(group),
      owner_uuid,
      group_class: word === "filter group" ? "filter" : word,
      trash_at: this.trashAt(group),
      frozen_by_uuid: this.isFrozen(group) ? "somebody" : null,
    };
  }

  /** The owner by the object's `owner` row: a node, -1 where the row names none, null where there is no row. */
  ownerRow(object: number): number | null {
    return this.#ownerRow.get(object) ?? null;
  }

  /** The same by its `cr` row. */
  requestOwner(request: number): number | null {
    return this.#requestOwner.get(request) ?? null;
  }

  // What changes it. Each takes the row's new value; null = the row is gone.

  setUser(uuid: string, row: UserRow | null): void {
    if (!looksLikeUser(uuid)) return;
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
    if (!looksLikeGroup(uuid)) return;
    const flags = row === null ? 0 : HAS_ROW | classFlag(row.group_class) | (row.frozen_by_uuid ? FROZEN : 0);
    this.#setPrincipal(uuid, flags, row?.owner_uuid || null, (group) => {
      if (row === null || row.trash_at === null || row.trash_at === undefined) this.#trashAt.delete(group);
      else this.#trashAt.set(group, row.trash_at);
      this.#place(group);
    });
  }

  setLink(uuid: string, row: LinkRow | null): void {
    const before = this.links.get(uuid);
    if (row !== null) {
      const tail = this.nodes.retain(row.tail_uuid);
      const head = this.nodes.retain(row.head_uuid);
      const edge: Edge = { uuid, name: row.name, tail, head, level: levelOf(row.name) };
      this.links.set(uuid, edge);
      push(this.#out, tail, edge);
      if (push(this.#in, head, edge) === 1) this.#listObject(head, true);
      if (edge.level === 0) this.#levelZeroLinks++;
      this.#place(tail);
      this.#place(head);
    }
    if (before === undefined) return;
    if (row === null) this.links.delete(uuid);
    pull(this.#out, before.tail, before);
    if (pull(this.#in, before.head, before) === 0) this.#listObject(before.head, false);
    if (before.level === 0) this.#levelZeroLinks--;
    this.#place(before.tail);
    this.#place(before.head);
    this.nodes.release(before.tail);
    this.nodes.release(before.head);
  }

  setOwner(uuid: string, row: OwnerRow | null): void {
    if (looksLikeUser(uuid) || looksLikeGroup(uuid)) return;
    this.#setObject(uuid, this.#ownerRow, row);
  }

  setRequest(uuid: string, row: RequestRow | null): void {
    if (looksLikeUser(uuid) || looksLikeGroup(uuid)) return;
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
      this.ownership.set(node, owner, this.#in.has(node));
    }
    if (row === null) this.nodes.release(node);
  }

  #listObject(node: number, listed: boolean): void {
    if (this.nodes.isUser(node) || this.nodes.isGroup(node)) return;
    if (listed) this.ownership.list(node);
    else this.ownership.unlist(node);
  }

  /** Keeps mark and tail indexes right for a node whose links, users, class or owner have changed. */
  #place(node: number): void {
    if (!this.nodes.isGroup(node)) {
      const shared = this.#in.has(node);
      this.ownership.mark(node, shared);
      if (shared) this.#sharedObjects.set(this.nodes.uuid(node), node);
      else this.#sharedObjects.delete(this.nodes.uuid(node));
      return;
    }
    const named = this.hasRow(node) || this.#out.has(node) || this.#in.has(node);
    const role = this.isRole(node) || (named && this.isEverybody(node));
    const tail = role || this.#out.has(node) || this.ownership.usersOwnedBy(node) !== undefined;
    const owner = this.ownership.owner(node);
    let place = NO_TAIL;
    if (tail && owner >= 0 && this.nodes.isUser(owner)) place = owner;
    else if (tail) place = owner >= 0 && this.nodes.isGroup(owner) ? NESTED : ROOTLESS;
    const before = this.#tailPlace.get(node);
    this.ownership.mark(node, role || this.#in.has(node));
    if (role) this.roles.add(node);
    else this.roles.delete(node);
    if (place === before) return;
    if (before === NESTED) this.nestedTails.delete(node);
    else if (before >= 0) this.#dropOwnedTail(before, node);
    if (place === NESTED) this.nestedTails.add(node);
    else if (place >= 0) this.#addOwnedTail(place, node);
    this.#tailPlace.set(node, place);
  }

  /** The all-users and the anonymous group: everybody is in them, so they are roles whatever their rows say. */
  isEverybody(node: number): boolean {
    const uuid = this.nodes.uuid(node);
    return uuid === this.known.allUsersGroup || uuid === this.known.anonymousGroup;
  }

  #addOwnedTail(user: number, group: number): void {
    const tails = this.#ownedTails.get(user);
    if (tails) tails.add(group);
    else this.#ownedTails.set(user, new Set([group]));
  }

  #dropOwnedTail(user: number, group: number): void {
    const tails = this.#ownedTails.get(user);
    tails?.delete(group);
    if (tails?.size === 0) this.#ownedTails.delete(user);
  }
}

function classFlag(groupClass: string | null): number {
  return groupClass !== null && Object.hasOwn(CLASS_FLAGS, groupClass) ? (CLASS_FLAGS[groupClass] as number) : 0;
}

/** Adds to a list in a map; the list's new length. */
function push(lists: Map<number, Edge[]>, key: number, edge: Edge): number {
  const list = lists.get(key);
  if (list) return list.push(edge);
  lists.set(key, [edge]);
  return 1;
}

/** Takes from a list in a map; the list's new length. An empty list leaves the map. */
function pull(lists: Map<number, Edge[]>, key: number, edge: Edge): number {
  const list = lists.get(key);
  if (!list) return 0;
  const at = list.indexOf(edge);
  if (at >= 0) {
    const last = list.pop() as Edge;
    if (last !== edge) list[at] = last;
  }
  if (list.length === 0) lists.delete(key);
  return list.length;
}
