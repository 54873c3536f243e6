/** API tokens: issued, expired and deleted through the models (logged) or, as Arvados does in several places, past them (silent). */
import { actorOf, type By, type Uuid } from "./actor.ts";
import { createRow, destroyRow, findRow, updateRow, writeSilently } from "./audit-log.ts";
import { timestampOf } from "./timestamps.ts";
import type { Transaction } from "./transaction.ts";

export type Token = {
  uuid: string;
  /** 50 base-36 characters: by itself a v1 token. */
  secret: string;
  /** `v2/<uuid>/<secret>`. */
  v2: string;
};

type NewToken = By & {
  /** Default `["all"]`; else `"METHOD /path"`. */
  scopes?: readonly string[];
  /** UTC milliseconds; default never. */
  expiresAt?: number | null;
};

/** @param by default: the user himself */
export async function issueToken(tx: Transaction, user: string, options: NewToken = {}): Promise<Token> {
  const { scopes = ["all"], expiresAt = null, by = user } = options;
  const owner = await findRow(tx, "users", user);
  const secret = tx.uuids.secret();
  const row = await createRow(
    tx,
    "api_client_authorizations",
    {
      user_id: owner.need("id"),
      api_token: secret,
      created_by_ip_address: "127.0.0.1",
      expires_at: expiresAt === null ? null : timestampOf(expiresAt),
      scopes,
    },
    by,
  );
  const uuid = row.need("uuid");
  return { uuid, secret, v2: `v2/${uuid}/${secret}` };
}

/** Ends a token now, through the API: an `update` row. */
export async function expireToken(tx: Transaction, uuid: string, options: By & { at?: number } = {}): Promise<Uuid> {
  const expires_at = options.at === undefined ? tx.now() : timestampOf(options.at);
  await updateRow(tx, "api_client_authorizations", uuid, { expires_at }, actorOf(tx, options));
  return { uuid };
}

export async function setTokenScopes(
  tx: Transaction,
  uuid: string,
  scopes: readonly string[],
  options: By = {},
): Promise<Uuid> {
  await updateRow(tx, "api_client_authorizations", uuid, { scopes }, actorOf(tx, options));
  return { uuid };
}

/** Log-out: the controller sets expires_at with an UPDATE of its own. No log row, no NOTIFY. */
export async function logoutToken(tx: Transaction, uuid: string): Promise<Uuid> {
  await writeSilently(tx, "api_client_authorizations", uuid, { expires_at: tx.now() });
  return { uuid };
}

/** A request with this token: only last_used_at changes, which Arvados does not log. */
export async function useToken(tx: Transaction, uuid: string): Promise<Uuid> {
  const now = tx.now();
  const changes = { last_used_at: now, last_used_by_ip_address: "127.0.0.1", updated_at: now };
  await writeSilently(tx, "api_client_authorizations", uuid, changes);
  return { uuid };
}

export async function deleteToken(tx: Transaction, uuid: string, options: By = {}): Promise<Uuid> {
  await destroyToken(tx, uuid, actorOf(tx, options));
  return { uuid };
}

/** Arvados' sweep: expired tokens are deleted past the models. No log rows. */
export async function sweepExpiredTokens(tx: Transaction): Promise<{ uuids: string[] }> {
  const rows = await tx.query("DELETE FROM api_client_authorizations WHERE expires_at <= $1 RETURNING uuid", [
    tx.now(),
  ]);
  return { uuids: rows.map((row) => row.need("uuid")) };
}

export async function destroyToken(tx: Transaction, uuid: string, by: string): Promise<void> {
  await destroyRow(tx, "api_client_authorizations", uuid, by);
}
