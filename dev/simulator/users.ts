/** Users: their record, the links that every user has, and what activating and deactivating does to both. */
import { actorOf, type By, type Uuid } from "./actor.ts";
import { createRow, updateRow } from "./audit-log.ts";
import { createPermission, destroyLinks } from "./links.ts";
import { destroyToken } from "./tokens.ts";
import type { Transaction } from "./transaction.ts";

type NewUser = By & {
  uuid?: string;
  username: string;
  email?: string;
  firstName?: string;
  lastName?: string;
  isAdmin?: boolean;
  /** Default true: the user is set up, in the all-users group and visible to it. */
  isActive?: boolean;
};

export async function createUser(tx: Transaction, user: NewUser): Promise<Uuid> {
  const by = actorOf(tx, user);
  const isActive = user.isActive ?? true;
  const row = await createRow(
    tx,
    "users",
    {
      uuid: user.uuid,
      owner_uuid: tx.known.rootUser,
      username: user.username,
      email: user.email ?? `${user.username}@example.com`,
      first_name: user.firstName ?? capitalised(user.username),
      last_name: user.lastName ?? "Example",
      prefs: {},
      is_admin: user.isAdmin ?? false,
      is_active: isActive,
    },
    by,
  );
  const uuid = row.need("uuid");
  await createPermission(tx, { tail: tx.known.systemGroup, head: uuid, level: "can_manage", by: tx.known.rootUser });
  if (isActive) await setUp(tx, uuid);
  return { uuid };
}

/** Makes an inactive user active, with the links of a set-up user. */
export async function activateUser(tx: Transaction, uuid: string, options: By = {}): Promise<Uuid> {
  await setUp(tx, uuid);
  await updateRow(tx, "users", uuid, { is_active: true }, actorOf(tx, options));
  return { uuid };
}

/** Arvados' `unsetup`: the user's own permission links and tokens are deleted, then the user is neither active nor admin. All logged. */
export async function deactivateUser(tx: Transaction, uuid: string, options: By = {}): Promise<Uuid> {
  const by = actorOf(tx, options);
  await destroyLinks(tx, { tail: uuid, permissionsOnly: true }, by);
  const tokens = await tx.query(
    "SELECT t.uuid FROM api_client_authorizations t JOIN users u ON u.id = t.user_id WHERE u.uuid = $1 ORDER BY t.id",
    [uuid],
  );
  for (const token of tokens) await destroyToken(tx, token.need("uuid"), by);
  await updateRow(tx, "users", uuid, { is_active: false, is_admin: false, prefs: {} }, by);
  return { uuid };
}

export async function setAdmin(tx: Transaction, uuid: string, isAdmin: boolean, options: By = {}): Promise<Uuid> {
  await updateRow(tx, "users", uuid, { is_admin: isAdmin }, actorOf(tx, options));
  return { uuid };
}

/**
 * Merges account `uuid` into another. Links, tokens and ownership move past the models (no log rows); only the merged user's own
 * update is logged.
 */
export async function mergeUser(tx: Transaction, uuid: string, into: string, options: By = {}): Promise<Uuid> {
  for (const table of ["groups", "collections", "container_requests", "workflows", "links"]) {
    await tx.query(`UPDATE ${table} SET owner_uuid = $2 WHERE owner_uuid = $1`, [uuid, into]);
  }
  for (const end of ["tail_uuid", "head_uuid"]) {
    // The link from the system group stays: every user record has its own.
    await tx.query(`UPDATE links SET ${end} = $2 WHERE ${end} = $1 AND tail_uuid <> $3`, [
      uuid,
      into,
      tx.known.systemGroup,
    ]);
  }
  await tx.query(
    `UPDATE api_client_authorizations SET user_id = (SELECT id FROM users WHERE uuid = $2)
     WHERE user_id = (SELECT id FROM users WHERE uuid = $1)`,
    [uuid, into],
  );
  await updateRow(tx, "users", uuid, { redirect_to_user_uuid: into, is_active: false }, actorOf(tx, options));
  return { uuid };
}

async function setUp(tx: Transaction, uuid: string): Promise<void> {
  const { allUsersGroup, rootUser } = tx.known;
  await createPermission(tx, { tail: uuid, head: allUsersGroup, level: "can_write", by: rootUser });
  await createPermission(tx, { tail: allUsersGroup, head: uuid, level: "can_read", by: rootUser });
}

function capitalised(name: string): string {
  return name.slice(0, 1).toUpperCase() + name.slice(1);
}
