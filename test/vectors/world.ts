/** Vector files (`permissions/README.md`) and their worlds as rows of the graph and objects to ask about. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import type { ObjectFacts } from "../../core/graph-types.ts";
import type { PermissionChange } from "../../core/rows.ts";

/** The moment at which worlds are judged, UTC milliseconds. Any will do: `past` and `future` are set around it. */
export const NOW = Date.UTC(2026, 0, 1);
const HOUR = 3_600_000;

type Trash = null | "past" | "future";
export type UserEntry = { uuid: string; owner_uuid: string; is_admin: boolean; is_active: boolean };
export type GroupEntry = {
  uuid: string;
  owner_uuid: string;
  group_class: string;
  trash_at: Trash;
  frozen: boolean;
};
export type LinkEntry = {
  uuid: string;
  owner_uuid: string;
  tail_uuid: string;
  head_uuid: string;
  link_class: string;
  name: string;
};
export type CollectionEntry = { uuid: string; owner_uuid: string; trash_at: Trash };
export type RequestEntry = { uuid: string; owner_uuid: string; container_uuid: string | null };

export type Rows = {
  users: UserEntry[];
  groups: GroupEntry[];
  links: LinkEntry[];
  collections: CollectionEntry[];
  container_requests: RequestEntry[];
  containers: { uuid: string }[];
  workflows: { uuid: string; owner_uuid: string }[];
};

export type Expect = {
  materialized_permissions?: [string, string, number, boolean][];
  readable: Record<string, string[]>;
  deletable_seen: Record<string, string[]>;
};

export type World = Rows & {
  name: string;
  about: string;
  config: { clusterId: string; roleGroupsVisibleToAll: boolean };
  expect: Expect;
};

type Table = keyof Rows;

export type WorldChange =
  | { op: "insert"; table: Table; row: Record<string, unknown> & { uuid: string } }
  | { op: "update"; table: Table; uuid: string; set: Record<string, unknown> }
  | { op: "delete"; table: Table; uuid: string };

export type WorldStep = {
  n: number;
  action: string;
  changes: WorldChange[];
  changed: { readable: Record<string, string[]>; deletable_seen: Record<string, string[]> };
};

export type Sequence = { name: string; about: string; world: World; steps: WorldStep[]; final: Expect };

export type VectorFile = { worlds: World[]; sequences: Sequence[] };

/** Reads a `.json` or `.json.gz` file: one world, one sequence, or a list of either. */
export function readVectors(file: string): VectorFile {
  const bytes = readFileSync(file);
  const data = JSON.parse((file.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8"));
  if (Array.isArray(data.worlds) || Array.isArray(data.sequences)) {
    return { worlds: data.worlds ?? [], sequences: data.sequences ?? [] };
  }
  if (Array.isArray(data.steps)) return { worlds: [], sequences: [data] };
  if (data.expect === undefined) throw new Error(`${file}: neither a world nor a sequence`);
  return { worlds: [data], sequences: [] };
}

/** The world's rows after some changes; the rows given stay as they are. */
export function changedRows<R extends Rows>(rows: R, changes: readonly WorldChange[]): R {
  const next = structuredClone(rows);
  for (const change of changes) {
    const table = next[change.table] as { uuid: string }[];
    if (change.op === "insert") table.push(structuredClone(change.row));
    else {
      const at = table.findIndex((row) => row.uuid === change.uuid);
      if (at < 0) throw new Error(`no row ${change.uuid} in ${change.table}`);
      if (change.op === "delete") table.splice(at, 1);
      else Object.assign(table[at] as object, change.set);
    }
  }
  return next;
}

/** The graph's rows of a world, as the bridge would write them, by `<kind> <uuid>`. */
export function graphRows(world: Rows): Map<string, PermissionChange> {
  const rows = new Map<string, PermissionChange>();
  let id = 0;
  const put = (change: PermissionChange): void => {
    rows.set(`${change.kind} ${change.uuid}`, change);
  };
  for (const { uuid, owner_uuid, is_admin, is_active } of world.users) {
    const row = { id: ++id, uuid, owner_uuid, is_admin, is_active, redirect_to_user_uuid: null };
    put({ kind: "user", uuid, row });
  }
  for (const { uuid, owner_uuid, group_class, trash_at, frozen } of world.groups) {
    const frozen_by_uuid = frozen ? owner_uuid : null;
    put({
      kind: "group",
      uuid,
      row: { id: ++id, uuid, owner_uuid, group_class, trash_at: time(trash_at), frozen_by_uuid },
    });
  }
  const heads = new Set<string>();
  for (const { uuid, tail_uuid, head_uuid, link_class, name } of world.links) {
    if (link_class !== "permission") continue;
    heads.add(head_uuid);
    put({ kind: "link", uuid, row: { id: ++id, uuid, tail_uuid, head_uuid, name } });
  }
  for (const { uuid, owner_uuid, container_uuid } of world.container_requests) {
    if (container_uuid) put({ kind: "cr", uuid, row: { id: ++id, uuid, owner_uuid, container_uuid } });
  }
  for (const object of worldObjects(world)) {
    if (object.resource === "users" || object.resource === "groups" || !heads.has(object.uuid) || !object.owner)
      continue;
    put({ kind: "owner", uuid: object.uuid, row: { id: ++id, uuid: object.uuid, owner_uuid: object.owner } });
  }
  return rows;
}

/** What turns one set of graph rows into another. */
export function graphDelta(
  before: ReadonlyMap<string, PermissionChange>,
  after: ReadonlyMap<string, PermissionChange>,
): PermissionChange[] {
  const delta: PermissionChange[] = [];
  for (const [key, change] of before) if (!after.has(key)) delta.push({ ...change, row: null } as PermissionChange);
  for (const [key, change] of after) {
    const known = before.get(key);
    if (known === undefined || content(known) !== content(change)) delta.push(change);
  }
  return delta;
}

function content(change: PermissionChange): string {
  return JSON.stringify({ ...change.row, id: 0 });
}

/** Every row of the world as something to ask about. */
export function worldObjects(world: Rows): ObjectFacts[] {
  const root = world.users.find((user) => user.uuid.endsWith("-tpzed-000000000000000"))?.uuid ?? null;
  const owners = new Map<string, string>();
  for (const table of ["users", "groups", "links", "collections", "container_requests", "workflows"] as const) {
    for (const row of world[table]) owners.set(row.uuid, row.owner_uuid);
  }
  return [
    ...world.users.map(({ uuid, owner_uuid }) => ({ uuid, resource: "users" as const, owner: owner_uuid })),
    ...world.groups.map(({ uuid, owner_uuid, trash_at }) => ({
      uuid,
      resource: "groups" as const,
      owner: owner_uuid,
      trashAt: time(trash_at),
    })),
    ...world.links.map(({ uuid, owner_uuid, link_class, tail_uuid, head_uuid }) => ({
      uuid,
      resource: "links" as const,
      owner: owner_uuid,
      link: { linkClass: link_class, tail: tail_uuid, head: head_uuid, headOwner: owners.get(head_uuid) ?? null },
    })),
    ...world.collections.map(({ uuid, owner_uuid, trash_at }) => ({
      uuid,
      resource: "collections" as const,
      owner: owner_uuid,
      trashAt: time(trash_at),
    })),
    ...world.container_requests.map(({ uuid, owner_uuid }) => ({
      uuid,
      resource: "container_requests" as const,
      owner: owner_uuid,
    })),
    ...world.containers.map(({ uuid }) => ({ uuid, resource: "containers" as const, owner: root })),
    ...world.workflows.map(({ uuid, owner_uuid }) => ({ uuid, resource: "workflows" as const, owner: owner_uuid })),
  ];
}

function time(trash: Trash): number | null {
  return trash === null ? null : trash === "past" ? NOW - HOUR : NOW + HOUR;
}
