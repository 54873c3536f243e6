/**
 * The tables and columns of Arvados' database that the bridge reads. Column lists hold the key (the replica identity): a publication without
 * it, or with a row filter on another column, makes Arvados' own UPDATEs and DELETEs fail (docs/arvados-permissions.md 2).
 */

import type { RowId } from "../../core/rows.ts";
import { MAX_SCOPES_TEXT } from "../../core/token/scopes.ts";

export const TABLES = {
  users: ["id", "uuid", "owner_uuid", "is_admin", "is_active", "redirect_to_user_uuid"],
  groups: ["id", "uuid", "owner_uuid", "group_class", "trash_at", "frozen_by_uuid"],
  links: ["id", "uuid", "owner_uuid", "tail_uuid", "head_uuid", "link_class", "name"],
  collections: ["id", "uuid", "owner_uuid", "current_version_uuid", "trash_at"],
  container_requests: ["id", "uuid", "owner_uuid", "container_uuid"],
  containers: ["id", "uuid", "owner_uuid", "state", "priority", "auth_uuid", "locked_by_uuid", "runtime_token"],
  api_client_authorizations: ["id", "uuid", "api_token", "user_id", "scopes", "expires_at", "refreshes_at"],
  workflows: ["id", "uuid", "owner_uuid"],
  credentials: ["uuid", "owner_uuid"],
  authorized_keys: ["id", "uuid", "owner_uuid"],
  virtual_machines: ["id", "uuid", "owner_uuid"],
} as const satisfies Record<string, readonly string[]>;

export type TableName = keyof typeof TABLES;

export function isTable(name: string): name is TableName {
  return Object.hasOwn(TABLES, name);
}

/** The column that identifies a row: the primary key, the only value that a DELETE has. */
export const KEY_OF: Record<TableName, "id" | "uuid"> = {
  users: "id",
  groups: "id",
  links: "id",
  collections: "id",
  container_requests: "id",
  containers: "id",
  api_client_authorizations: "id",
  workflows: "id",
  credentials: "uuid",
  authorized_keys: "id",
  virtual_machines: "id",
};

/** The key of a row, also from a DELETE: a number where JavaScript holds it exactly, otherwise its text. */
export function keyOf(table: TableName, row: Readonly<Record<string, unknown>>): RowId {
  const key = row[KEY_OF[table]];
  const number = Number(key);
  return typeof key === "string" && key !== String(number) ? key : number;
}

/**
 * A column's text is read up to so many bytes. Most columns hold 255 characters of at most 4 bytes; longer ones hold a list of scopes or
 * a token.
 */
export const TEXT_BYTES = { other: 1_024, scopes: MAX_SCOPES_TEXT, runtime_token: 4_096 };

/** Published with `publish = 'insert'` in a publication of its own. */
export const LOG_COLUMNS = [
  "id",
  "uuid",
  "modified_by_user_uuid",
  "object_uuid",
  "event_type",
  "event_at",
  "properties",
] as const;

/** Every table that is read, with its columns. */
export const READ_TABLES = { ...TABLES, logs: LOG_COLUMNS } as const satisfies Record<string, readonly string[]>;

/** Tables that an older or newer Arvados may lack, and what is lost then. All others must exist. */
export const OPTIONAL_TABLES: Partial<Record<TableName, string>> = {
  workflows: "no events about workflows",
  credentials: "no events about credentials",
  authorized_keys: "no events about SSH keys",
  virtual_machines: "no events about virtual machines, and no rights by a link to one",
};

/** Columns that an older or newer Arvados may lack, and what is lost then. All others must exist. */
export const OPTIONAL_COLUMNS: { [T in TableName]?: Partial<Record<(typeof TABLES)[T][number], string>> } = {
  users: { redirect_to_user_uuid: "accounts that were merged into others count as accounts of their own" },
  groups: { frozen_by_uuid: "no project counts as frozen" },
  collections: { current_version_uuid: "nothing: it is published for readers of their own" },
  containers: {
    locked_by_uuid: "queue entries do not say which dispatcher has locked a container",
    runtime_token: "a container with a token of its own cannot be distinguished from one without",
  },
  api_client_authorizations: { refreshes_at: "a token of another cluster counts until it expires" },
};

/** The tables that the permission graph is read from at start, in this order. */
export const GRAPH_TABLES = [
  "users",
  "groups",
  "links",
  "container_requests",
  "containers",
  "api_client_authorizations",
] as const satisfies readonly TableName[];
