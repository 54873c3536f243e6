/**
 * The rows that the GRAPH stream carries: one per subject `arvados.<c>.graph.<kind>.<uuid>`, last value wins, null = the row is gone.
 * Column names are Arvados' own. `id` is the row's primary key, all that a DELETE seen by logical replication carries: a number,
 * or of a table that has no `id` (credentials) its `uuid`.
 */

export type RowId = number | string;

export type UserRow = {
  id: RowId;
  uuid: string;
  owner_uuid: string;
  is_admin: boolean;
  is_active: boolean;
  /** Set when this account was merged into another one: Arvados then hides the row everywhere. */
  redirect_to_user_uuid: string | null;
};

export type GroupRow = {
  id: RowId;
  uuid: string;
  owner_uuid: string;
  /** `project`, `role`, `filter`; old rows may hold anything. */
  group_class: string | null;
  /** UTC milliseconds; may lie in the future. */
  trash_at: number | null;
  frozen_by_uuid: string | null;
};

/** A link of link_class `permission`. */
export type LinkRow = { id: RowId; uuid: string; tail_uuid: string; head_uuid: string; name: string };

/** An object that is neither group nor user but the head of some permission link: where it lives. */
export type OwnerRow = { id: RowId; uuid: string; owner_uuid: string };

/** A container request that names a container: where it lives and which container it shows. */
export type RequestRow = { id: RowId; uuid: string; owner_uuid: string; container_uuid: string | null };

/** A token without its secret. Hashes are lower-case hex SHA-256; times UTC milliseconds. */
export type TokenRow = {
  id: RowId;
  uuid: string;
  user_uuid: string;
  /** The scopes that have an effect here (scopes.ts). */
  scopes: readonly string[];
  /** There are too many scopes: the token is refused. */
  scopes_over?: true;
  expires_at: number | null;
  refreshes_at: number | null;
  /** SHA-256 of the stored api_token. */
  secret_sha256: string;
  /** SHA-256 of hex HMAC-SHA1(key = api_token, message = this cluster's id): the salted form of the secret. */
  salted_sha256: string;
};

/** What a container-suffixed token is checked against. */
export type ContainerRow = {
  id: RowId;
  uuid: string;
  state: string;
  auth_uuid: string | null;
  /** SHA-256 of runtime_token, or null where it is unset. */
  runtime_token_sha256: string | null;
};

/** Is the container locked or running? Only then a token that names it is valid. */
export function isAlive({ state }: Pick<ContainerRow, "state">): boolean {
  return state === "Locked" || state === "Running";
}

export type GraphRows = {
  user: UserRow;
  group: GroupRow;
  link: LinkRow;
  owner: OwnerRow;
  cr: RequestRow;
  token: TokenRow;
  container: ContainerRow;
};

export type GraphKind = keyof GraphRows;

type ChangeOf<K extends GraphKind> = { kind: K; uuid: string; row: GraphRows[K] | null };

/** One row's new value. State, not difference: applying it twice, or out of order before its successor, is harmless. */
export type GraphChange = { [K in GraphKind]: ChangeOf<K> }[GraphKind];

/** A change and what stood there before; null = nothing. */
export type Replacement = { [K in GraphKind]: ChangeOf<K> & { replaced: GraphRows[K] | null } }[GraphKind];

/** The changes that move permissions; `token` and `container` rows are of the token index only. */
export type PermissionChange = Extract<GraphChange, { kind: "user" | "group" | "link" | "owner" | "cr" }>;

export function permissionChanges(changes: Iterable<GraphChange>): PermissionChange[] {
  return [...changes].filter((change) => change.kind !== "token" && change.kind !== "container");
}
