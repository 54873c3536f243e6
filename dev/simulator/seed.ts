/** What every Arvados cluster has from its first start. */
import { createRow } from "./audit-log.ts";
import { createCollection } from "./collections.ts";
import { createPermission } from "./links.ts";
import type { Transaction } from "./transaction.ts";

/** Root, the anonymous user, the three well-known roles, public favourites, the empty collection, and the links between them. */
export async function seed(tx: Transaction): Promise<{ uuid: string; emptyCollection: string }> {
  const { rootUser, anonymousUser, systemGroup, allUsersGroup, anonymousGroup, publicFavorites } = tx.known;
  const by = rootUser;

  await user(tx, { uuid: rootUser, username: "root", isAdmin: true, isActive: true });
  await group(tx, systemGroup, "System group", "role");
  await group(tx, allUsersGroup, "All users", "role");
  await group(tx, anonymousGroup, "Anonymous users", "role");
  // The anonymous user is inactive: what it may do comes from its links alone.
  await user(tx, { uuid: anonymousUser, username: "anonymous", isAdmin: false, isActive: false });
  await createPermission(tx, { tail: systemGroup, head: anonymousUser, level: "can_manage", by });
  await createPermission(tx, { tail: allUsersGroup, head: anonymousGroup, level: "can_read", by });
  await createPermission(tx, { tail: anonymousUser, head: anonymousGroup, level: "can_read", by });
  await group(tx, publicFavorites, "Public favorites", "project");
  await createPermission(tx, { tail: anonymousGroup, head: publicFavorites, level: "can_read", by });
  const empty = await createCollection(tx, { name: "empty collection", owner: rootUser, manifestText: "" });
  await createPermission(tx, { tail: anonymousGroup, head: empty.uuid, level: "can_read", by });
  return { uuid: rootUser, emptyCollection: empty.uuid };
}

type SeededUser = { uuid: string; username: string; isAdmin: boolean; isActive: boolean };

async function user(tx: Transaction, { uuid, username, isAdmin, isActive }: SeededUser): Promise<void> {
  const values = {
    uuid,
    owner_uuid: tx.known.rootUser,
    username,
    email: username,
    first_name: username,
    last_name: "",
    prefs: {},
    is_admin: isAdmin,
    is_active: isActive,
  };
  await createRow(tx, "users", values, tx.known.rootUser);
}

async function group(tx: Transaction, uuid: string, name: string, groupClass: "role" | "project"): Promise<void> {
  const values = { uuid, owner_uuid: tx.known.rootUser, name, group_class: groupClass, properties: {} };
  await createRow(tx, "groups", values, tx.known.rootUser);
}
