import type { GraphRows, PermissionChange } from "../../rows.ts";
import { isGroupUuid, isUserUuid } from "../../uuid.ts";
import { levelOf } from "../store/permission-links.ts";
import type { Topology } from "../store/topology.ts";

/** What a delta will do, read off the graph before it is applied. Nodes are those that exist already. */
export type DeltaPlan = {
  /** One change per row: the last. */
  readonly changes: readonly PermissionChange[];
  /** Sources whose edges change: all who reach them may gain or lose. */
  readonly sources: Set<number>;
  /** Heads, by uuid, of those edges: the roles beyond them may gain or lose members. */
  readonly heads: Set<string>;
  /** Heads, by uuid, of links that come or go, and how many more there are then. */
  readonly linked: Map<string, number>;
  /** Users, by uuid, whose own row changes. */
  readonly users: Set<string>;
  /** Of those, the users that begin or cease to count as ones who reach anything. */
  readonly arrivals: Set<number>;
  /** Groups and objects whose owner changes, with their old owner (-1 = none): the paths below them change. */
  readonly moved: Map<number, number>;
  /** Of those, objects to which no link leads after the delta: no pattern names their path then. */
  readonly departed: Set<number>;
  /** Links to users' records that go or come. */
  readonly records: RecordLink[];
  /** Is something that was there already published elsewhere from now on? */
  reroutes: boolean;
  /** Tails of the links of unknown names that come and lead to a group. */
  readonly levelZero: Set<number>;
};

/** A link by which the members of `tail` see the record of `user`. */
export type RecordLink = { tail: string; user: string };

export function planOf(topology: Topology, changes: readonly PermissionChange[]): DeltaPlan {
  const plan: DeltaPlan = {
    changes: lastOfEach(changes),
    sources: new Set(),
    heads: new Set(),
    linked: new Map(),
    users: new Set(),
    arrivals: new Set(),
    moved: new Map(),
    departed: new Set(),
    records: [],
    reroutes: false,
    levelZero: new Set(),
  };
  for (const change of plan.changes) {
    if (change.kind === "link") planLink(topology, plan, change.uuid, change.row);
    else if (change.kind === "group") planGroup(topology, plan, change.uuid, change.row);
    else if (change.kind === "user") planUser(topology, plan, change.uuid, change.row);
    else planObject(topology, plan, change.uuid, change.row);
  }
  planDepartures(topology, plan);
  return plan;
}

/** The graph forgets where an object lives with the last link to it. */
function planDepartures({ nodes, links }: Topology, { moved, linked, departed }: DeltaPlan): void {
  for (const node of moved.keys()) {
    if (nodes.isGroup(node)) continue;
    if (links.in(node).length + (linked.get(nodes.uuid(node)) ?? 0) === 0) departed.add(node);
  }
}

/** State, not difference: of several values for one row only the last counts. */
function lastOfEach(changes: readonly PermissionChange[]): readonly PermissionChange[] {
  if (changes.length <= 1) return changes;
  const last: Record<PermissionChange["kind"], Map<string, PermissionChange>> = {
    user: new Map(),
    group: new Map(),
    owner: new Map(),
    cr: new Map(),
    link: new Map(),
  };
  for (const change of changes) last[change.kind].set(change.uuid, change);
  return Object.values(last).flatMap((kind) => [...kind.values()]);
}

function planLink(topology: Topology, plan: DeltaPlan, uuid: string, row: GraphRows["link"] | null): void {
  const { nodes } = topology;
  const before = topology.links.get(uuid);
  const level = row === null ? 0 : levelOf(row.name);
  if (before !== undefined) {
    const tail = nodes.uuid(before.tail);
    const head = nodes.uuid(before.head);
    if (row?.head_uuid !== head) planCount(plan, head, -1);
    // Reading and managing make no difference between can_read and can_write.
    if (row?.tail_uuid === tail && row.head_uuid === head && rung(level) === rung(before.level)) return;
    plan.sources.add(before.tail);
    plan.heads.add(head);
    planNaming(topology, plan, tail);
    if (before.level >= 1 && nodes.isUser(before.head)) planRecord(plan, tail, head);
  }
  if (row === null) return;
  if (before === undefined || row.head_uuid !== nodes.uuid(before.head)) planCount(plan, row.head_uuid, 1);
  const tail = nodes.find(row.tail_uuid);
  if (tail >= 0) plan.sources.add(tail);
  plan.heads.add(row.head_uuid);
  planNaming(topology, plan, row.tail_uuid);
  if (level === 0 && tail >= 0 && isGroupUuid(row.head_uuid)) plan.levelZero.add(tail);
  if (level >= 1 && isUserUuid(row.head_uuid)) planRecord(plan, row.tail_uuid, row.head_uuid);
}

function planCount({ linked }: DeltaPlan, head: string, more: number): void {
  linked.set(head, (linked.get(head) ?? 0) + more);
}

/** A user's record is published for each tail of a link to it. */
function planRecord(plan: DeltaPlan, tail: string, user: string): void {
  plan.records.push({ tail, user });
  plan.reroutes = true;
}

/** The groups that hold everybody are roles as soon as any row names them, also a link from them. */
function planNaming(topology: Topology, plan: DeltaPlan, tail: string): void {
  const { nodes, known } = topology;
  if (tail !== known.allUsersGroup && tail !== known.anonymousGroup) return;
  if (!topology.hasRow(nodes.find(tail))) plan.heads.add(tail);
}

function rung(level: number): number {
  return level === 2 ? 1 : level;
}

function planGroup(topology: Topology, plan: DeltaPlan, uuid: string, row: GraphRows["group"] | null): void {
  const node = topology.nodes.find(uuid);
  const moved = planOwner(topology, plan, uuid, row?.owner_uuid || null);
  if (node < 0) {
    plan.heads.add(uuid);
    return;
  }
  const role = row?.group_class === "role";
  if (role !== topology.isRole(node) || (row !== null) !== topology.hasRow(node)) {
    plan.sources.add(node);
    plan.heads.add(uuid);
    plan.reroutes = true;
  }
  plan.reroutes ||=
    moved ||
    (row?.trash_at ?? null) !== topology.trashAt(node) ||
    Boolean(row?.frozen_by_uuid) !== topology.isFrozen(node);
}

function planUser(topology: Topology, plan: DeltaPlan, uuid: string, row: GraphRows["user"] | null): void {
  const node = topology.nodes.find(uuid);
  plan.users.add(uuid);
  planOwner(topology, plan, uuid, row?.owner_uuid || null);
  if (node < 0) return;
  if ((row !== null) !== topology.hasRow(node)) {
    plan.arrivals.add(node);
    plan.heads.add(uuid);
  }
  plan.reroutes = true;
}

/** `owner` and `cr` rows: their owner matters where a link points at the object, or a container hangs on it. */
function planObject(
  topology: Topology,
  plan: DeltaPlan,
  uuid: string,
  row: { owner_uuid: string; container_uuid?: string | null } | null,
): void {
  const node = topology.nodes.find(uuid);
  // A new request shows a container that others show already: it is published under one more.
  plan.reroutes ||= Boolean(row?.container_uuid) && topology.nodes.find(row?.container_uuid ?? "") >= 0;
  if (node < 0 || topology.nodes.isGroup(node) || topology.nodes.isUser(node)) return;
  const before = topology.ownership.owner(node);
  const owner = row?.owner_uuid ? topology.nodes.find(row.owner_uuid) : -1;
  if (topology.in(node).length > 0 && (owner < 0 || owner !== before)) plan.moved.set(node, before);
  plan.reroutes = true;
}

/** The owner edge of a group or user. Does it change? */
function planOwner(topology: Topology, plan: DeltaPlan, uuid: string, owner: string | null): boolean {
  const { nodes, ownership } = topology;
  const node = nodes.find(uuid);
  const before = node < 0 ? -1 : ownership.owner(node);
  const after = owner === null ? -1 : nodes.find(owner);
  if (owner === null ? before < 0 : after >= 0 && before === after) return false;
  if (before >= 0) plan.sources.add(before);
  if (after >= 0) plan.sources.add(after);
  plan.heads.add(uuid);
  if (node >= 0 && !nodes.isUser(node)) plan.moved.set(node, before);
  return true;
}
