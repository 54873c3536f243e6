/** Arvados' rows as the GRAPH stream carries them. Secrets end here: a token's row leaves this file as hashes. */
import type {
  ContainerRow,
  GraphKind,
  GraphRows,
  GroupRow,
  LinkRow,
  RequestRow,
  TokenRow,
  UserRow,
} from "../core/rows.ts";
import { type ReducedScopes, reduceScopesText } from "../core/scopes.ts";
import { saltedSecret, sha256 } from "../core/token.ts";
import { resourceOf } from "../core/uuid.ts";
import { textOrNull as nullable, type Row, utcMillis } from "./row.ts";
import type { TableName } from "./tables.ts";

export const KIND_OF_TABLE: Partial<Record<TableName, GraphKind>> = {
  users: "user",
  groups: "group",
  links: "link",
  container_requests: "cr",
  containers: "container",
  api_client_authorizations: "token",
};

const TABLE_OF_KIND = new Map(Object.entries(KIND_OF_TABLE).map(([table, kind]) => [kind, table as TableName]));

/** The table that such a row is of; an owner row stands for an object of any kind. */
export function tableOf(kind: GraphKind, uuid: string): TableName | undefined {
  return kind === "owner" ? ((resourceOf(uuid) as TableName | null) ?? undefined) : TABLE_OF_KIND.get(kind);
}

/** What a conversion may lean on: the cluster, who a numeric user id is, and the row as it was (for unchanged TOAST values). */
export type RowContext = {
  clusterId: string;
  userUuid: (id: number) => string | undefined;
};

type Convert<K extends GraphKind> = (
  row: Row,
  old: GraphRows[K] | undefined,
  context: RowContext,
) => GraphRows[K] | null;

/** By kind: the row to carry, or null where the graph has no use for it (a link of another class, a request without container). */
export const CONVERT: { [K in Exclude<GraphKind, "owner">]: Convert<K> } = {
  user: (row): UserRow => ({
    ...base(row),
    owner_uuid: text(row.owner_uuid),
    is_admin: row.is_admin === true,
    is_active: row.is_active === true,
    redirect_to_user_uuid: nullable(row.redirect_to_user_uuid),
  }),
  group: (row): GroupRow => ({
    ...base(row),
    owner_uuid: text(row.owner_uuid),
    group_class: nullable(row.group_class),
    trash_at: utcMillis(row.trash_at),
    frozen_by_uuid: nullable(row.frozen_by_uuid),
  }),
  link: (row): LinkRow | null =>
    row.link_class === "permission"
      ? { ...base(row), tail_uuid: text(row.tail_uuid), head_uuid: text(row.head_uuid), name: text(row.name) }
      : null,
  cr: (row): RequestRow | null =>
    nullable(row.container_uuid) === null
      ? null
      : { ...base(row), owner_uuid: text(row.owner_uuid), container_uuid: nullable(row.container_uuid) },
  container: (row, old): ContainerRow => ({
    ...base(row),
    state: text(row.state),
    auth_uuid: nullable(row.auth_uuid),
    runtime_token_sha256:
      row.runtime_token === undefined ? (old?.runtime_token_sha256 ?? null) : hashed(row.runtime_token),
  }),
  token: (row, old, { clusterId, userUuid }): TokenRow | null => {
    const user = userUuid(Number(row.user_id));
    if (user === undefined) return null;
    const secret = typeof row.api_token === "string" ? row.api_token : null;
    const { scopes, over } = scopesOf(row.scopes, old);
    return {
      ...base(row),
      user_uuid: user,
      scopes,
      ...(over ? { scopes_over: true } : {}),
      expires_at: utcMillis(row.expires_at),
      refreshes_at: utcMillis(row.refreshes_at),
      secret_sha256: secret === null ? (old?.secret_sha256 ?? "") : sha256(secret),
      salted_sha256: secret === null ? (old?.salted_sha256 ?? "") : sha256(saltedSecret(secret, clusterId)),
    };
  },
};

function base(row: Row): { id: number; uuid: string } {
  return { id: Number(row.id), uuid: text(row.uuid) };
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function hashed(value: unknown): string | null {
  const plain = nullable(value);
  return plain === null ? null : sha256(plain);
}

/** The scopes column, as far as it means something; undefined = a large value that the update did not touch. */
function scopesOf(value: unknown, old: TokenRow | undefined): ReducedScopes {
  if (value === undefined) return { scopes: old?.scopes ?? [], over: old?.scopes_over === true };
  return reduceScopesText(text(value));
}
