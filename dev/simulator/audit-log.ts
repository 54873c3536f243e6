/**
 * Changes to rows the way Arvados' models make them: each create, update and delete adds one `logs` row in the same transaction
 * and sends `NOTIFY logs, '<logs.id>'`, which PostgreSQL delivers at COMMIT. What Arvados writes past its models goes through
 * `writeSilently` and leaves no trace.
 */
import { createHash } from "node:crypto";
import { resourceOf } from "../../core/uuid.ts";
import { rowJson } from "./row-json.ts";
import type { Transaction } from "./transaction.ts";
import type { ColumnValue, ColumnValues, TypedRow } from "./typed-row.ts";
import { SIMULATED_TABLES, type Table } from "./uuid-maker.ts";

/** What Arvados' models fill in where a column may not be NULL. */
const NOT_NULL: Partial<Record<Table, ColumnValues>> = {
  groups: { is_trashed: false },
  collections: { is_trashed: false, version: 1, file_count: 0, file_size_total: 0 },
  containers: { lock_count: 0, cost: 0, subrequests_cost: 0, service: false, interactive_session_started: false },
  container_requests: { output_ttl: 0, cumulative_cost: 0, service: false },
  api_client_authorizations: { api_client_id: 0 },
};

/** The table a uuid's row lies in. */
export function tableOfUuid(uuid: string): Table {
  const resource = resourceOf(uuid);
  const table = SIMULATED_TABLES.find((one) => one === resource);
  if (table === undefined) throw new Error(`no table holds ${uuid}`);
  return table;
}

export async function findRow(tx: Transaction, table: Table, uuid: string): Promise<TypedRow> {
  const [row] = await tx.query(`SELECT * FROM ${table} WHERE uuid = $1 FOR UPDATE`, [uuid]);
  if (row === undefined) throw new Error(`${table} has no ${uuid}`);
  return row;
}

/** @param by uuid of the acting user */
export async function createRow(tx: Transaction, table: Table, values: ColumnValues, by: string): Promise<TypedRow> {
  const now = tx.now();
  const stamps: ColumnValues = { ...NOT_NULL[table], created_at: now, ...modified(table, now, by) };
  const row = await insert(tx, table, { ...stamps, ...values, uuid: values.uuid ?? tx.uuids.uuid(table) });
  await log(tx, "create", { table, old: null, new: row, by });
  return row;
}

export async function updateRow(
  tx: Transaction,
  table: Table,
  uuid: string,
  changes: ColumnValues,
  by: string,
): Promise<TypedRow> {
  const old = await findRow(tx, table, uuid);
  const now = tx.now();
  const row = await write(tx, table, uuid, { ...changes, ...modified(table, now, by) });
  await log(tx, "update", { table, old, new: row, by });
  return row;
}

export async function destroyRow(tx: Transaction, table: Table, uuid: string, by: string): Promise<TypedRow> {
  const old = await findRow(tx, table, uuid);
  // A token's owner is looked up before it goes, as Arvados' model still has it.
  const owner = await ownerOf(tx, table, old);
  await tx.query(`DELETE FROM ${table} WHERE uuid = $1`, [uuid]);
  await log(tx, "delete", { table, old, new: null, by, owner });
  return old;
}

/** An UPDATE past the models: no log row, no NOTIFY, no new modified_at. */
export async function writeSilently(
  tx: Transaction,
  table: Table,
  uuid: string,
  changes: ColumnValues,
): Promise<TypedRow> {
  return write(tx, table, uuid, changes);
}

type NewLogRow = {
  object_uuid: string | null;
  object_owner_uuid: string | null;
  event_type: string;
  summary?: string | null;
  /** JSON text. */
  properties: string;
};

export type LogEntry = { uuid: string; id: number };

/**
 * Adds a row to `logs`.
 * @param by uuid of the acting user, who becomes the row's owner
 * @param notify false for the rows that the controller inserts past the models
 */
export async function insertLog(tx: Transaction, values: NewLogRow, by: string, notify = true): Promise<LogEntry> {
  const now = tx.now();
  const [names, parameters] = split({
    uuid: tx.uuids.uuid("logs"),
    owner_uuid: by,
    modified_by_user_uuid: by,
    ...{ event_at: now, created_at: now, modified_at: now, updated_at: now },
    ...values,
  });
  // Row and notification in one round trip; the id is known only here.
  const [row] = await tx.query(
    `WITH made AS (INSERT INTO logs (${names.join(", ")}) VALUES (${slots(names)}) RETURNING id, uuid)
     SELECT id, uuid${notify ? ", pg_notify('logs', id::text)" : ""} FROM made`,
    parameters,
  );
  const entry = { uuid: row!.need("uuid"), id: Number(row!.need("id")) };
  tx.logIds.push(entry.id);
  return entry;
}

type Change = { table: Table; old: TypedRow | null; new: TypedRow | null; by: string; owner?: string | null };

async function log(tx: Transaction, eventType: "create" | "update" | "delete", change: Change): Promise<void> {
  const row = change.new ?? change.old;
  if (row === null) throw new Error("a change without a row");
  const before = change.old === null ? null : rowJson(change.table, change.old);
  const after = change.new === null ? null : rowJson(change.table, change.new);
  await insertLog(
    tx,
    {
      object_uuid: row.need("uuid"),
      object_owner_uuid: change.owner === undefined ? await ownerOf(tx, change.table, row) : change.owner,
      event_type: eventType,
      summary: `${eventType} of ${row.need("uuid")}`,
      properties:
        `{"old_etag":${etag(before)},"old_attributes":${before ?? "null"},` +
        `"new_etag":${etag(after)},"new_attributes":${after ?? "null"}}`,
    },
    change.by,
  );
}

/** A digest of the row, as a JSON string. Readers may only compare it. */
function etag(attributes: string | null): string {
  if (attributes === null) return "null";
  return JSON.stringify(BigInt(`0x${createHash("md5").update(attributes).digest("hex")}`).toString(36));
}

async function ownerOf(tx: Transaction, table: Table, row: TypedRow): Promise<string | null> {
  if (table !== "api_client_authorizations") return row.get("owner_uuid");
  const [user] = await tx.query("SELECT uuid FROM users WHERE id = $1", [row.need("user_id")]);
  return user?.get("uuid") ?? null;
}

function modified(table: Table, now: string, by: string): ColumnValues {
  if (table === "api_client_authorizations") return { updated_at: now };
  const stamps = { modified_at: now, modified_by_user_uuid: by };
  return table === "credentials" ? stamps : { updated_at: now, ...stamps };
}

async function insert(tx: Transaction, table: Table, values: ColumnValues): Promise<TypedRow> {
  const [names, parameters] = split(values);
  const sql = `INSERT INTO ${table} (${names.join(", ")}) VALUES (${slots(names)}) RETURNING *`;
  const [row] = await tx.query(sql, parameters);
  return row!;
}

async function write(tx: Transaction, table: Table, uuid: string, changes: ColumnValues): Promise<TypedRow> {
  const [names, parameters] = split(changes);
  const sets = names.map((name, index) => `${name} = $${index + 2}`);
  const [row] = await tx.query(`UPDATE ${table} SET ${sets.join(", ")} WHERE uuid = $1 RETURNING *`, [
    uuid,
    ...parameters,
  ]);
  if (row === undefined) throw new Error(`${table} has no ${uuid}`);
  return row;
}

function slots(names: readonly string[]): string {
  return names.map((_, index) => `$${index + 1}`).join(", ");
}

function split(values: ColumnValues): [names: string[], parameters: ColumnValue[]] {
  const entries = Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  return [entries.map(([name]) => name), entries.map(([, value]) => value)];
}
