/** Holds what GRAPH grants against what Arvados' rules say of the database's own rows: nothing may be granted that they do not give. */
import type pg from "pg";
import { PermissionGraph } from "../../core/graph/permission-graph.ts";
import type { ObjectFacts } from "../../core/graph-types.ts";
import { type GraphChange, type GraphRows, permissionChanges } from "../../core/rows.ts";
import { isUuid, type Resource } from "../../core/uuid.ts";
import { Oracle, type Tables } from "../core/graph/oracle.ts";
import { CLUSTER } from "../support/servers/postgres.ts";

/** UTC milliseconds as PostgreSQL itself understands a time: everything it cannot tell us of has passed. */
const MILLIS = (column: string) =>
  `CASE WHEN ${column} IS NULL OR ${column} = 'infinity' OR ${column} >= '10000-01-01' THEN NULL
        WHEN ${column} < '0001-01-01' THEN 0 ELSE (extract(epoch FROM ${column}) * 1000)::float8 END AS ${column}`;

export async function findings(
  pool: pg.Pool,
  stored: ReadonlyMap<string, GraphChange>,
  now: number,
): Promise<string[]> {
  const found: string[] = [];
  const rows = async <T>(sql: string): Promise<T[]> => (await pool.query(sql)).rows as T[];
  const users = await rows<GraphRows["user"]>(
    "SELECT id, uuid, owner_uuid, is_admin, is_active, redirect_to_user_uuid FROM users WHERE uuid IS NOT NULL",
  );
  const groups = await rows<GraphRows["group"]>(
    `SELECT id, uuid, owner_uuid, group_class, frozen_by_uuid, ${MILLIS("trash_at")} FROM groups WHERE uuid IS NOT NULL`,
  );
  const links = await rows<GraphRows["link"]>(
    "SELECT id, uuid, tail_uuid, head_uuid, name FROM links WHERE link_class = 'permission' AND tail_uuid IS NOT NULL AND head_uuid IS NOT NULL",
  );
  const requests = await rows<GraphRows["cr"]>(
    "SELECT id, uuid, owner_uuid, container_uuid FROM container_requests WHERE uuid IS NOT NULL",
  );
  const things = await Promise.all(
    (["collections", "workflows", "credentials", "authorized_keys", "virtual_machines"] as const).map(
      async (resource) => ({
        resource,
        rows: await rows<{ uuid: string; owner_uuid: string | null; trash_at?: number | null }>(
          `SELECT uuid, owner_uuid${resource === "collections" ? `, ${MILLIS("trash_at")}` : ""} FROM ${resource} WHERE uuid IS NOT NULL`,
        ),
      }),
    ),
  );
  const byUuid = <T extends { uuid: string }>(list: readonly T[]) => new Map(list.map((row) => [row.uuid, row]));
  const tables: Tables = {
    user: byUuid(users),
    group: byUuid(groups),
    // A link without a uuid gives what it gives all the same.
    link: new Map(links.map((row) => [String(row.id), row])),
    owner: new Map(
      things.flatMap(({ rows: list }) =>
        list.map(({ uuid, owner_uuid }) => [uuid, { id: 0, uuid, owner_uuid: owner_uuid ?? "" }] as const),
      ),
    ),
    cr: byUuid(requests),
  };
  const oracle = new Oracle(tables, true);
  const engine = new PermissionGraph({ clusterId: CLUSTER, roleGroupsVisibleToAll: true, audienceMin: 3 });
  engine.load(permissionChanges([...stored.values()]));

  const objects: ObjectFacts[] = [
    ...groups.map(({ uuid, owner_uuid, trash_at }) => facts(uuid, "groups", owner_uuid, trash_at)),
    ...users.map(({ uuid, owner_uuid }) => facts(uuid, "users", owner_uuid)),
    ...requests.map(({ uuid, owner_uuid }) => facts(uuid, "container_requests", owner_uuid)),
    ...requests.flatMap(({ container_uuid }) => (container_uuid ? [facts(container_uuid, "containers", null)] : [])),
    ...things.flatMap(({ resource, rows: list }) =>
      list.map(({ uuid, owner_uuid, trash_at }) => facts(uuid, resource, owner_uuid, trash_at)),
    ),
  ];
  for (const { uuid: user } of users) {
    // Nothing is published about what has no uuid.
    for (const object of objects.filter(({ uuid }) => isUuid(uuid))) {
      if (engine.check(user, object, now) && !oracle.check(user, object, now)) {
        found.push(`${user} may read ${object.resource} ${object.uuid}, and Arvados says that he may not`);
      }
    }
  }
  return [...found, ...(await tokenFindings(rows, stored, now))];
}

async function tokenFindings(
  rows: <T>(sql: string) => Promise<T[]>,
  stored: ReadonlyMap<string, GraphChange>,
  now: number,
): Promise<string[]> {
  type Token = { uuid: string; user_uuid: string | null; scopes: string | null; ended: boolean };
  const tokens = await rows<Token>(
    `SELECT t.uuid, u.uuid AS user_uuid, left(t.scopes, 100000) AS scopes, coalesce(t.expires_at <= now() AT TIME ZONE 'UTC', false) AS ended
       FROM api_client_authorizations t LEFT JOIN users u ON u.id = t.user_id`,
  );
  const known = new Map(tokens.map((token) => [token.uuid, token]));
  const found: string[] = [];
  for (const change of stored.values()) {
    if (change.kind !== "token" || change.row === null) continue;
    const { uuid, user_uuid, scopes, expires_at } = change.row;
    const token = known.get(uuid);
    if (!token) found.push(`token ${uuid} is in GRAPH and not in the database`);
    else if (token.user_uuid !== null && token.user_uuid !== user_uuid)
      found.push(`token ${uuid} is ${user_uuid}'s in GRAPH, and ${token.user_uuid}'s`);
    else if (token.ended && !(expires_at !== null && expires_at <= now))
      found.push(`token ${uuid} has ended, and GRAPH has it end at ${expires_at}`);
    else if (scopes.some((scope) => !listed(token.scopes).includes(scope)))
      found.push(`token ${uuid} has other scopes in GRAPH`);
  }
  return found;
}

function listed(scopes: string | null): unknown[] {
  try {
    const list: unknown = JSON.parse(scopes ?? "");
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}

function facts(uuid: string, resource: Resource, owner: string | null, trashAt: number | null = null): ObjectFacts {
  return { uuid, resource, owner, trashAt };
}
