/** Converts Arvados' rows into rows of GRAPH. No secret passes: a token's row becomes hashes here. Pure. */
import type { GraphKind, GraphRows, RowId, TokenRow } from "../../core/rows.ts";
import { type ReducedScopes, reduceScopesText } from "../../core/token/scopes.ts";
import { saltedSecret, sha256 } from "../../core/token/token.ts";
import { resourceOf } from "../../core/uuid.ts";
import { isTooLong, isUnreadableTime, textOrNull as nullable, type RowValues, utcMillis } from "../postgres/row.ts";
import { keyOf, type TableName } from "../postgres/tables.ts";

export const KIND_OF_TABLE: Partial<Record<TableName, GraphKind>> = {
  users: "user",
  groups: "group",
  links: "link",
  container_requests: "cr",
  containers: "container",
  api_client_authorizations: "token",
};

const TABLE_OF_KIND = new Map(Object.entries(KIND_OF_TABLE).map(([table, kind]) => [kind, table as TableName]));

/** The table of such a row. An owner row may be of an object of any table. */
export function tableOfKind(kind: GraphKind, uuid: string): TableName | undefined {
  return kind === "owner" ? ((resourceOf(uuid) as TableName | null) ?? undefined) : TABLE_OF_KIND.get(kind);
}

/** What a conversion needs: the cluster, users by numeric key, and a callback for values that cannot be understood. */
export type RowContext = {
  clusterId: string;
  userUuid: (key: RowId) => string | undefined;
  unreadable: (table: TableName, column: string) => void;
};

type GraphValues<K extends GraphKind> = Omit<GraphRows[K], "id" | "uuid">;
type Convert<K extends GraphKind> = (
  row: RowValues,
  old: GraphRows[K] | undefined,
  context: RowContext,
) => GraphValues<K> | null;

/**
 * By kind: the values in GRAPH, or null where the graph does not need the row (a link of another class, a request without container). A value
 * that PostgreSQL does not send because it did not change is copied from the former row.
 */
export const CONVERT: { [K in Exclude<GraphKind, "owner">]: Convert<K> } = {
  user: (row, old) => ({
    owner_uuid: changed(row.owner_uuid, old?.owner_uuid, text, ""),
    is_admin: isTrue(row.is_admin),
    is_active: isTrue(row.is_active),
    // An unreadable value may name another account, so this account grants nothing.
    redirect_to_user_uuid: changed(row.redirect_to_user_uuid, old?.redirect_to_user_uuid, textOrUnreadable, null),
  }),
  group: (row, old, context) => ({
    owner_uuid: changed(row.owner_uuid, old?.owner_uuid, text, ""),
    group_class: changed(row.group_class, old?.group_class, nullable, null),
    trash_at: time(row, "groups", "trash_at", context),
    frozen_by_uuid: changed(row.frozen_by_uuid, old?.frozen_by_uuid, textOrUnreadable, null),
  }),
  link: (row, old) =>
    changed(row.link_class, old && "permission", nullable, null) === "permission"
      ? {
          tail_uuid: changed(row.tail_uuid, old?.tail_uuid, text, ""),
          head_uuid: changed(row.head_uuid, old?.head_uuid, text, ""),
          name: changed(row.name, old?.name, text, ""),
        }
      : null,
  cr: (row, old) => {
    const container_uuid = changed(row.container_uuid, old?.container_uuid, nullable, null);
    return container_uuid === null
      ? null
      : { owner_uuid: changed(row.owner_uuid, old?.owner_uuid, text, ""), container_uuid };
  },
  container: (row, old) => ({
    state: changed(row.state, old?.state, text, ""),
    auth_uuid: changed(row.auth_uuid, old?.auth_uuid, textOrUnreadable, null),
    runtime_token_sha256: changed(row.runtime_token, old?.runtime_token_sha256, hashed, null),
  }),
  token: (row, old, context) => {
    const user = context.userUuid(keyOf("users", { id: row.user_id }));
    if (user === undefined) return null;
    const { clusterId } = context;
    const { scopes, over } = scopesOf(row.scopes, old);
    if (over) context.unreadable("api_client_authorizations", "scopes");
    return {
      user_uuid: user,
      scopes,
      ...(over ? { scopes_over: true } : {}),
      expires_at: time(row, "api_client_authorizations", "expires_at", context),
      refreshes_at: time(row, "api_client_authorizations", "refreshes_at", context),
      secret_sha256: changed(row.api_token, old?.secret_sha256, (secret) => hashed(secret) ?? UNREADABLE, UNREADABLE),
      salted_sha256: changed(row.api_token, old?.salted_sha256, (secret) => salted(secret, clusterId), UNREADABLE),
    };
  },
};

/** Instead of a name or hash that cannot be read: no real value is equal to it. */
const UNREADABLE = "unreadable";

/** @param nothing if the value and the former row are both unknown */
function changed<T>(value: unknown, former: T | undefined, convert: (value: unknown) => T, nothing: T): T {
  return value === undefined ? (former ?? nothing) : convert(value);
}

function time(row: RowValues, table: TableName, column: string, { unreadable }: RowContext): number | null {
  const value = row[column];
  if (isUnreadableTime(value)) unreadable(table, column);
  return utcMillis(value);
}

/** A boolean is `true` in the snapshot, `t` in the replication stream. */
function isTrue(value: unknown): boolean {
  return value === true || value === "t";
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function textOrUnreadable(value: unknown): string | null {
  return isTooLong(value) ? UNREADABLE : nullable(value);
}

function hashed(value: unknown): string | null {
  const plain = textOrUnreadable(value);
  return plain === null || plain === UNREADABLE ? plain : sha256(plain);
}

function salted(value: unknown, clusterId: string): string {
  return typeof value === "string" ? sha256(saltedSecret(value, clusterId)) : UNREADABLE;
}

/** The scopes of a token; undefined = a large value that the update did not change. */
function scopesOf(value: unknown, old: TokenRow | undefined): ReducedScopes {
  if (value === undefined) return { scopes: old?.scopes ?? [], over: old?.scopes_over === true };
  return isTooLong(value) ? { scopes: [], over: true } : reduceScopesText(text(value));
}
