/**
 * What the bridge reads of Arvados' database. Column lists always hold `id` (the replica identity): a publication without it,
 * or with a row filter on another column, makes Arvados' own UPDATEs and DELETEs fail (facts/arvados 2).
 */

export const TABLES = {
  users: ["id", "uuid", "owner_uuid", "is_admin", "is_active", "redirect_to_user_uuid"],
  groups: ["id", "uuid", "owner_uuid", "group_class", "trash_at", "frozen_by_uuid"],
  links: ["id", "uuid", "owner_uuid", "tail_uuid", "head_uuid", "link_class", "name"],
  collections: ["id", "uuid", "owner_uuid", "current_version_uuid", "trash_at"],
  container_requests: ["id", "uuid", "owner_uuid", "container_uuid"],
  containers: ["id", "uuid", "owner_uuid", "state", "priority", "auth_uuid", "locked_by_uuid", "runtime_token"],
  api_client_authorizations: ["id", "uuid", "api_token", "user_id", "scopes", "expires_at", "refreshes_at"],
  workflows: ["id", "uuid", "owner_uuid"],
  credentials: ["id", "uuid", "owner_uuid"],
  authorized_keys: ["id", "uuid", "owner_uuid"],
  virtual_machines: ["id", "uuid", "owner_uuid"],
} as const satisfies Record<string, readonly string[]>;

export type TableName = keyof typeof TABLES;

/** Clusters older or newer than the one we know may lack these; the others must be there. */
export const OPTIONAL_TABLES: readonly TableName[] = [
  "workflows",
  "credentials",
  "authorized_keys",
  "virtual_machines",
];

/** Published with `publish = 'insert'` in a publication of its own. */
export const LOG_COLUMNS = ["id", "uuid", "object_uuid", "event_type", "event_at", "properties"] as const;

/** The tables the permission graph is read from at start, in the order in which they are read. */
export const GRAPH_TABLES = [
  "users",
  "groups",
  "links",
  "container_requests",
  "containers",
  "api_client_authorizations",
] as const satisfies readonly TableName[];
