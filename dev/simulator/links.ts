/** Links as rows: made, changed and removed with their log rows. What sharing means stands in sharing.ts. */
import { createRow, destroyRow } from "./audit-log.ts";
import type { Transaction } from "./transaction.ts";
import type { TypedRow } from "./typed-row.ts";

/** What a permission link can give, weakest first: one link is enough for each pair of tail and head. */
export const LEVELS = ["can_read", "can_write", "can_manage"] as const;

/** `can_login` (on a virtual machine) counts as reading, and stands beside the other links. */
export type PermissionName = (typeof LEVELS)[number] | "can_login";

type NewPermission = { tail: string; head: string; level: PermissionName; by: string };

/** Permission links belong to root, also when another user creates them. */
export async function createPermission(tx: Transaction, { tail, head, level, by }: NewPermission): Promise<TypedRow> {
  const values = {
    owner_uuid: tx.known.rootUser,
    link_class: "permission",
    name: level,
    tail_uuid: tail,
    head_uuid: head,
  };
  return createRow(tx, "links", values, by);
}

/** Deletes the links that touch `tail` or `head` as said (both: either end), each with its log row. */
export async function destroyLinks(
  tx: Transaction,
  which: { tail?: string; head?: string; permissionsOnly?: boolean },
  by: string,
): Promise<void> {
  const links = await tx.query(
    `SELECT uuid FROM links WHERE (tail_uuid = $1 OR head_uuid = $2) AND (link_class = 'permission' OR NOT $3) ORDER BY id`,
    [which.tail ?? null, which.head ?? null, which.permissionsOnly ?? false],
  );
  for (const link of links) await destroyRow(tx, "links", link.need("uuid"), by);
}
