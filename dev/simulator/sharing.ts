/** Who may do what: permission links from users and roles to objects, created and deleted as Arvados does. */
import { actorOf, type By, type Uuid } from "./actor.ts";
import { createRow, destroyRow, findRow, updateRow } from "./audit-log.ts";
import { createPermission, LEVELS, type PermissionName } from "./links.ts";
import type { Transaction } from "./transaction.ts";

/**
 * Lets `tail` (a user or a role) have `level` on `head`. Where a link exists already a higher level changes it (`update`), an equal or
 * lower one does nothing.
 * @returns the link's uuid
 */
export async function share(
  tx: Transaction,
  tail: string,
  head: string,
  level: PermissionName,
  options: By = {},
): Promise<Uuid> {
  const by = actorOf(tx, options);
  const existing = (await permissions(tx, tail, head)).find((link) => rank(link.need("name")) >= 0);
  if (level === "can_login" || existing === undefined) {
    const row = await createPermission(tx, { tail, head, level, by });
    return { uuid: row.need("uuid") };
  }
  const uuid = existing.need("uuid");
  if (rank(level) > rank(existing.need("name"))) await updateRow(tx, "links", uuid, { name: level }, by);
  return { uuid };
}

/** Position among the levels, -1 for `can_login` and for unknown names. */
function rank(name: string): number {
  return (LEVELS as readonly string[]).indexOf(name);
}

/** Sets a permission link's level, up or down: an `update` of its name. */
export async function changeLevel(
  tx: Transaction,
  link: string,
  level: PermissionName,
  options: By = {},
): Promise<Uuid> {
  await updateRow(tx, "links", link, { name: level }, actorOf(tx, options));
  return { uuid: link };
}

/**
 * Deletes a permission link, named by its own uuid or by its two ends (there may be several then, in old data).
 * @returns the uuid of the (first) link that is gone
 */
export async function unshare(
  tx: Transaction,
  link: string | { tail: string; head: string },
  options: By = {},
): Promise<Uuid> {
  const by = actorOf(tx, options);
  const links =
    typeof link === "string" ? [await findRow(tx, "links", link)] : await permissions(tx, link.tail, link.head);
  const [first] = links;
  if (first === undefined) throw new Error(`nothing is shared: ${JSON.stringify(link)}`);
  for (const row of links) await destroyRow(tx, "links", row.need("uuid"), by);
  return { uuid: first.need("uuid") };
}

/** Makes a user (or a role) a member of a role. What the role may do, a member may do up to `level` (default can_write). */
export async function addToRole(
  tx: Transaction,
  member: string,
  role: string,
  options: By & { level?: PermissionName } = {},
): Promise<Uuid> {
  return share(tx, member, role, options.level ?? "can_write", options);
}

export async function removeFromRole(tx: Transaction, member: string, role: string, options: By = {}): Promise<Uuid> {
  return unshare(tx, { tail: member, head: role }, options);
}

type NewLink = {
  linkClass: string;
  name: string;
  tail: string | null;
  head: string | null;
  /** Default: the acting user. */
  owner?: string;
  properties?: Record<string, unknown>;
} & By;

/** Any link, as it is asked for: tags and signatures, or what only old databases hold. */
export async function createLink(tx: Transaction, link: NewLink): Promise<Uuid> {
  const by = link.by ?? tx.known.rootUser;
  const { linkClass: link_class, name, tail: tail_uuid, head: head_uuid, properties } = link;
  const values = { owner_uuid: link.owner ?? by, link_class, name, tail_uuid, head_uuid, properties };
  const row = await createRow(tx, "links", values, by);
  return { uuid: row.need("uuid") };
}

function permissions(tx: Transaction, tail: string, head: string) {
  return tx.query(
    "SELECT uuid, name FROM links WHERE link_class = 'permission' AND tail_uuid = $1 AND head_uuid = $2 ORDER BY id FOR UPDATE",
    [tail, head],
  );
}
