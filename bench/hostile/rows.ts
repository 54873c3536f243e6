/**
 * SQL of the attacks that consist of rows. Each statement takes the table that it writes to, so that the control writes the same bytes to
 * a copy that is not published.
 */
import { MAX_SCOPES } from "../../core/token/scopes.ts";
import type { StackFacts } from "./stack.ts";

export type Copied = "links" | "logs" | "api_client_authorizations";
/** A published table, or its copy. */
export type Table = Copied | `${Copied}_copy`;

/** alice's single collections. */
const COLLECTIONS = 4_001;
const TOO_MANY_SCOPES = 5_000;
const TOGGLED = 50;
const DEPTH = 8_000;
/** 3 MB of them. */
const SMALL_VALUES = 200_000;
const CUSTOM_ROWS = 100;

/** `zzzzz-4zz18-...` by number, as SQL: of one kind 10^14 of them. */
const uuidSql = (infix: string, letter: string, n: string) =>
  `'zzzzz-${infix}-${letter}' || lpad((${n})::text, 14, '0')`;
const collection = (n: string) => uuidSql("4zz18", "m", n);

/** What stands before any attack: the copies, the collections, all of them shared with carol one by one, her tokens. */
export function CAST_SQL({ users, scoped }: StackFacts): string[] {
  const { alice, carol } = users;
  const copied: Copied[] = ["links", "logs", "api_client_authorizations"];
  return [
    `INSERT INTO collections (uuid, owner_uuid, created_at, updated_at, modified_at, name, current_version_uuid)
       SELECT ${collection("n")}, '${alice.uuid}', now(), now(), now(), 'single ' || n, ${collection("n")}
         FROM generate_series(1, ${COLLECTIONS}) n`,
    shareAll("links", "c", carol.uuid),
    scopesOf("api_client_authorizations", scoped.widest.uuid, MAX_SCOPES),
    scopesOf("api_client_authorizations", scoped.tooWide.uuid, TOO_MANY_SCOPES),
    ...copied.map((table) => `CREATE TABLE ${table}_copy (LIKE ${table} INCLUDING ALL)`),
    ...copied.map((table) => `INSERT INTO ${table}_copy SELECT * FROM ${table}`),
  ];
}

/** The token's objects in another order: a row with other content each time. */
function scopesOf(table: Table, token: string, count: number): string {
  const scope = `'GET /arvados/v1/collections/' || ${collection("n")}`;
  return `UPDATE ${table} SET updated_at = now(),
    scopes = (SELECT json_agg(${scope} ORDER BY random()) FROM generate_series(1, ${count}) n) WHERE uuid = '${token}'`;
}

export function updateScopes(table: Table, { scoped }: StackFacts, which: keyof StackFacts["scoped"]): string[] {
  return [scopesOf(table, scoped[which].uuid, which === "widest" ? MAX_SCOPES : TOO_MANY_SCOPES)];
}

/** @param letter tells the links of one user from those of another */
function shareAll(table: Table, letter: string, user: string, which = `generate_series(1, ${COLLECTIONS})`): string {
  return `INSERT INTO ${table} (uuid, owner_uuid, created_at, updated_at, modified_at, link_class, name, tail_uuid, head_uuid)
    SELECT ${uuidSql("o0j2j", letter, "n")}, 'zzzzz-tpzed-000000000000000', now(), now(), now(), 'permission', 'can_read', '${user}', ${collection("n")}
      FROM ${which} n ON CONFLICT (uuid) DO NOTHING`;
}

/** Shares each collection with bob, then takes each back: one commit each, as requests to Arvados make them. */
export function shareThousands(table: Table, { users }: StackFacts): string[] {
  const all = Array.from({ length: COLLECTIONS }, (_, i) => i + 1);
  return [
    ...all.map((n) => shareAll(table, "b", users.bob.uuid, `generate_series(${n}, ${n})`)),
    ...all.map((n) => `DELETE FROM ${table} WHERE uuid = ${uuidSql("o0j2j", "b", `${n}`)}`),
  ];
}

export function unshareThousands(table: Table): string {
  return `DELETE FROM ${table} WHERE uuid LIKE 'zzzzz-o0j2j-b%'`;
}

/** Takes one of carol's collections from her and gives it back, then the next. */
export function toggleShares(table: Table, { users }: StackFacts): string[] {
  return Array.from({ length: TOGGLED }, (_, i) => [
    `DELETE FROM ${table} WHERE uuid = ${uuidSql("o0j2j", "c", `${i + 1}`)}`,
    shareAll(table, "c", users.carol.uuid, `generate_series(${i + 1}, ${i + 1})`),
  ]).flat();
}

function logRows(table: Table, { users }: StackFacts, type: string, properties: string, count = 1): string {
  const { uuid } = users.bob;
  return `INSERT INTO ${table} (uuid, owner_uuid, modified_by_user_uuid, object_uuid, object_owner_uuid, event_type, event_at, created_at, updated_at, modified_at, properties)
    SELECT 'zzzzz-57u5n-' || substr(md5(random()::text), 1, 15), '${uuid}', '${uuid}', '${uuid}', '${uuid}', '${type}', now(), now(), now(), now(), ${properties}
      FROM generate_series(1, ${count})`;
}

export function deepLogs(table: Table, facts: StackFacts): string[] {
  const nested = `repeat('{"a":', ${DEPTH}) || '1' || repeat('}', ${DEPTH})`;
  return [
    logRows(table, facts, "update", `'{"old_attributes":null,"new_attributes":{"properties":' || ${nested} || '}}'`),
  ];
}

export function broadLogs(table: Table, facts: StackFacts): string[] {
  const values = `(SELECT string_agg('"k' || n || '":' || n, ',') FROM generate_series(1, ${SMALL_VALUES}) n)`;
  return [
    logRows(table, facts, "update", `'{"old_attributes":null,"new_attributes":{"properties":{' || ${values} || '}}}'`),
  ];
}

export function customLogs(table: Table, facts: StackFacts): string[] {
  return [logRows(table, facts, "hostile", `'{"text":"' || repeat('x', 1000) || '"}'`, CUSTOM_ROWS)];
}
