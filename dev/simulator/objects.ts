/** What happens to any object, whatever its kind: moving, changing, trashing, deleting. */
import { actorOf, type By, makerOf, type Uuid } from "./actor.ts";
import { createRow, destroyRow, findRow, tableOfUuid, updateRow, writeSilently } from "./audit-log.ts";
import { createPermission, destroyLinks } from "./links.ts";
import { millisecondsOf, timestampOf } from "./timestamps.ts";
import type { Transaction } from "./transaction.ts";
import type { ColumnValues } from "./typed-row.ts";

/** ms between being trashed and being deleted (Arvados: the configured signature lifetime, two weeks). */
const TRASH_LIFETIME = 14 * 24 * 60 * 60 * 1000;

/** Gives an object to another owner: one `update` row, whatever lies below it. */
export async function move(tx: Transaction, uuid: string, newOwner: string, options: By = {}): Promise<Uuid> {
  await updateRow(tx, tableOfUuid(uuid), uuid, { owner_uuid: newOwner }, actorOf(tx, options));
  return { uuid };
}

/** Sets columns of an object by their own names, through the model (logged). */
export async function updateObject(
  tx: Transaction,
  uuid: string,
  changes: ColumnValues,
  options: By = {},
): Promise<Uuid> {
  await updateRow(tx, tableOfUuid(uuid), uuid, changes, actorOf(tx, options));
  return { uuid };
}

/**
 * Trashes a group or a collection, as a DELETE over the API does: an `update`. A trashed role also loses what it was given.
 * @param options.at UTC milliseconds; in the future: it is trashed when that time comes, which no log row tells
 */
export async function trash(tx: Transaction, uuid: string, options: By & { at?: number } = {}): Promise<Uuid> {
  const by = actorOf(tx, options);
  const table = tableOfUuid(uuid);
  const now = millisecondsOf(tx.now());
  const at = options.at ?? now;
  const row = await findRow(tx, table, uuid);
  if (row.get("group_class") === "role") await destroyLinks(tx, { tail: uuid, permissionsOnly: true }, by);
  await updateRow(
    tx,
    table,
    uuid,
    { trash_at: timestampOf(at), delete_at: timestampOf(at + TRASH_LIFETIME), is_trashed: at <= now },
    by,
  );
  return { uuid };
}

export async function untrash(tx: Transaction, uuid: string, options: By = {}): Promise<Uuid> {
  const changes = { trash_at: null, delete_at: null, is_trashed: false };
  await updateRow(tx, tableOfUuid(uuid), uuid, changes, actorOf(tx, options));
  return { uuid };
}

/** The sweep that comes after trash_at has passed: silent for a collection, an `update` for a group. */
export async function sweepTrash(tx: Transaction, uuid: string): Promise<Uuid> {
  const table = tableOfUuid(uuid);
  if (table === "groups") await updateRow(tx, table, uuid, { is_trashed: true }, tx.known.rootUser);
  else await writeSilently(tx, table, uuid, { is_trashed: true });
  return { uuid };
}

/** Deletes the row itself, all links to and from it first, each with its log row. What it owns stays as it is. */
export async function deleteObject(tx: Transaction, uuid: string, options: By = {}): Promise<Uuid> {
  const by = actorOf(tx, options);
  const table = tableOfUuid(uuid);
  await destroyLinks(tx, { tail: uuid, head: uuid }, by);
  await destroyRow(tx, table, uuid, by);
  return { uuid };
}

/** A secret of another service: it belongs to root, its maker manages it. Its table has no `id`. */
export async function createCredential(tx: Transaction, credential: { name: string } & By): Promise<Uuid> {
  const by = actorOf(tx, credential);
  const values = {
    name: credential.name,
    owner_uuid: tx.known.rootUser,
    credential_class: "basic_auth",
    external_id: credential.name,
    secret: "not to be shown",
    expires_at: timestampOf(millisecondsOf(tx.now()) + TRASH_LIFETIME),
    scopes: [],
  };
  const row = await createRow(tx, "credentials", values, by);
  const uuid = row.need("uuid");
  if (by !== tx.known.rootUser) await createPermission(tx, { tail: by, head: uuid, level: "can_manage", by });
  return { uuid };
}

export async function createWorkflow(
  tx: Transaction,
  workflow: { name: string; owner: string; definition?: string } & By,
): Promise<Uuid> {
  const { name, owner, definition } = workflow;
  const row = await createRow(tx, "workflows", { name, owner_uuid: owner, definition }, makerOf(tx, workflow));
  return { uuid: row.need("uuid") };
}
