/** Reads what `doctor` checks in Arvados' database, with the bridge's role. A read that fails does not affect the others. */
import type pg from "pg";
import { readCatalog } from "../../bridge/postgres/catalog.ts";
import { sqlName } from "../../bridge/postgres/found-tables.ts";
import { type DatabaseTarget, hiddenTables, withClient } from "../../bridge/postgres/preflight.ts";
import type { SetupNames } from "../../bridge/postgres/setup-db.ts";
import { identifySystem } from "../../bridge/postgres/slot.ts";
import { READ_TABLES } from "../../bridge/postgres/tables.ts";
import { reasonOf } from "../../core/errors.ts";
import type { AuditFacts } from "./audit.ts";
import type { ClockFacts } from "./clock.ts";
import { type ContentFacts, ODD } from "./content.ts";
import type { DatabaseFacts, SlotFacts } from "./database.ts";
import { readDeepProjects } from "./deep-projects.ts";
import type { Reading } from "./finding.ts";
import { readOverScopes } from "./token-scopes.ts";

/** Longer than any of these queries takes where there is an index; `logs` may be very large. */
const STATEMENT_TIMEOUT_MS = 10_000;

export async function tryRead<T>(read: () => Promise<T>): Promise<Reading<T>> {
  try {
    return { seen: await read() };
  } catch (error) {
    return { failed: reasonOf(error) };
  }
}

/** @throws postgres.unreachable, postgres.refused */
export async function readDatabase(
  target: DatabaseTarget,
  names: SetupNames,
  auditConfig: AuditFacts["config"],
  now: () => number,
): Promise<DatabaseFacts> {
  const { schema = "public" } = target;
  return withClient({ ...target, statement_timeout: STATEMENT_TIMEOUT_MS }, async (client) => ({
    server: await tryRead(() => readServer(client)),
    walLevel: await tryRead(async () => (await one<{ wal_level: string }>(client, "SHOW wal_level")).wal_level),
    walKept: await tryRead(() => readWalKept(client)),
    columns: await tryRead(() => readColumns(client, schema)),
    hidden: await tryRead(() => hiddenTables(client, schema)),
    replication: await tryRead(() => identifySystem(target)),
    catalog: await tryRead(() => readCatalog(client, schema, [names.publication, names.logPublication])),
    slot: await tryRead(() => readSlot(client, names.slot)),
    clock: await tryRead(() => readClock(client, now)),
    content: await tryRead(() => readContent(client, schema)),
    audit: await tryRead(() => readAudit(client, schema, auditConfig)),
    overScopes: await tryRead(() => readOverScopes(client, schema)),
    deepProjects: await tryRead(() => readDeepProjects(client, schema)),
  }));
}

async function one<R extends pg.QueryResultRow>(client: pg.Client, sql: string, values: unknown[] = []): Promise<R> {
  const [row] = (await client.query<R>(sql, values)).rows;
  if (!row) throw new Error(`no row came back from: ${sql}`);
  return row;
}

async function readServer(client: pg.Client): Promise<{ version: number; text: string; isStandby: boolean }> {
  const row = await one<{ version: string; text: string; standby: boolean }>(
    client,
    `SELECT current_setting('server_version_num') AS version, current_setting('server_version') AS text,
            pg_is_in_recovery() AS standby`,
  );
  return { version: Number(row.version), text: row.text, isStandby: row.standby };
}

async function readWalKept(client: pg.Client): Promise<number | null> {
  const { rows } = await client.query<{ megabytes: string }>(
    "SELECT setting AS megabytes FROM pg_settings WHERE name = 'max_slot_wal_keep_size'",
  );
  const megabytes = Number(rows[0]?.megabytes ?? -1);
  return megabytes < 0 ? null : megabytes * 1024 * 1024;
}

/** From the catalogue: information_schema hides what the role may not read. */
async function readColumns(client: pg.Client, schema: string): Promise<Record<string, Record<string, boolean>>> {
  const { rows } = await client.query<{ table: string; columns: Record<string, boolean> }>(
    `SELECT c.relname AS table, json_object_agg(a.attname, has_schema_privilege(c.relnamespace, 'USAGE')
              AND has_column_privilege(c.oid, a.attnum, 'SELECT')) AS columns
       FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE c.relkind IN ('r', 'p') AND c.relname = ANY($1)
        AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $2)
      GROUP BY c.relname`,
    [Object.keys(READ_TABLES), schema],
  );
  return Object.fromEntries(rows.map(({ table, columns }) => [table, columns]));
}

async function readSlot(client: pg.Client, name: string): Promise<SlotFacts | null> {
  const { rows } = await client.query<{ slot: Omit<SlotFacts, "retained">; retained: string | null }>(
    `SELECT to_jsonb(s) AS slot, pg_wal_lsn_diff(
              CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
              s.restart_lsn) AS retained
       FROM pg_replication_slots s WHERE slot_name = $1`,
    [name],
  );
  const [row] = rows;
  if (!row) return null;
  return { ...row.slot, retained: row.retained === null ? null : Number(row.retained) };
}

async function readClock(client: pg.Client, now: () => number): Promise<ClockFacts> {
  const asked = now();
  const { theirs } = await one<{ theirs: string }>(
    client,
    "SELECT extract(epoch FROM clock_timestamp()) * 1000 AS theirs",
  );
  return clockFacts(asked, now(), Number(theirs));
}

/** Their clock was read between `asked` and `answered` (UTC ms, ours). */
export function clockFacts(asked: number, answered: number, theirs: number): ClockFacts {
  return { offset: theirs - (asked + answered) / 2, uncertainty: (answered - asked) / 2 };
}

async function readAudit(client: pg.Client, schema: string, config: AuditFacts["config"]): Promise<AuditFacts> {
  const newest = (table: string, column: string, where: string) =>
    `(SELECT ${column} FROM ${schema}.${table} WHERE ${where} ORDER BY ${column === "event_at" ? "id" : column} DESC LIMIT 1)`;
  const changes = ["users", "groups", "links", "collections"].map((table) =>
    newest(table, "modified_at", "modified_at IS NOT NULL"),
  );
  // Arvados writes UTC into columns without a time zone; the connection's TimeZone is UTC.
  const row = await one<{ row: string | null; change: string | null; now: string }>(
    client,
    `SELECT extract(epoch FROM ${newest("logs", "event_at", "event_type IN ('create', 'update', 'delete')")}) * 1000 AS row,
            extract(epoch FROM greatest(${changes.join(", ")})) * 1000 AS change,
            extract(epoch FROM clock_timestamp()) * 1000 AS now`,
  );
  const number = (text: string | null) => (text === null ? null : Number(text));
  return { config, newestRow: number(row.row), newestChange: number(row.change), now: Number(row.now) };
}

async function readContent(client: pg.Client, schema: string): Promise<ContentFacts> {
  const odd: ContentFacts["odd"][number][] = [];
  for (const { what, table, where } of ODD) {
    const from = `FROM ${sqlName({ schema }, table)} WHERE ${where}`;
    const { count } = await one<{ count: string }>(client, `SELECT count(*) ${from}`);
    const { rows } = await client.query<{ name: string | null }>(
      `SELECT left(coalesce(uuid, 'id ' || id), 40) AS name ${from} LIMIT 3`,
    );
    odd.push({ what, count: Number(count), examples: rows.map(({ name }) => name ?? "") });
  }
  return { odd };
}
