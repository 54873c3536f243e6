/** Queries PostgreSQL for objects that are not in memory: owners of the heads of permission links, and rows that custom events are about. */
import type pg from "pg";
import type { Replacement } from "../../core/rows.ts";
import { resourceOf } from "../../core/uuid.ts";
import { boundedRow, columnsSql } from "../postgres/bounded-columns.ts";
import { type FoundTables, hasTable, sqlName } from "../postgres/found-tables.ts";
import type { RowValues } from "../postgres/row.ts";
import { KEY_OF, keyOf, type TableName } from "../postgres/tables.ts";
import type { GraphRowSet } from "./graph-row-set.ts";

/** At most this many uuids in one query. */
const BATCH = 1_000;

/** Adds the owners that the state misses. An object that does not exist has none; its row may come later. */
export async function lookUpOwners(client: pg.Client, tables: FoundTables, state: GraphRowSet): Promise<Replacement[]> {
  const byTable = new Map<TableName, string[]>();
  for (const head of state.drainUnknownHeads()) {
    const table = resourceOf(head);
    if (hasTable(tables, table)) byTable.set(table, [...(byTable.get(table) ?? []), head]);
  }
  const changes: Replacement[] = [];
  for (const [table, heads] of byTable) {
    // A token has no owner column, and a link to a token gives nothing.
    if (table === "api_client_authorizations") continue;
    for (let at = 0; at < heads.length; at += BATCH) {
      const { rows } = await client.query<{ uuid: string; owner_uuid: string }>(
        `SELECT ${KEY_OF[table]}, uuid, owner_uuid FROM ${sqlName(tables, table)} WHERE uuid = ANY($1)`,
        [heads.slice(at, at + BATCH)],
      );
      for (const row of rows) {
        const { uuid, owner_uuid } = row;
        changes.push(state.setOwner(table, { id: keyOf(table, row), uuid, owner_uuid }));
      }
    }
  }
  return changes;
}

/** The published columns of these objects' current rows. Objects that do not exist are missing. */
export async function lookUpRows(
  client: pg.Client,
  tables: FoundTables,
  uuids: readonly string[],
): Promise<Map<string, RowValues>> {
  const found = new Map<string, RowValues>();
  const byTable = new Map<TableName, string[]>();
  for (const uuid of uuids) {
    const table = resourceOf(uuid);
    if (hasTable(tables, table)) byTable.set(table, [...(byTable.get(table) ?? []), uuid]);
  }
  for (const [table, wanted] of byTable) {
    for (let at = 0; at < wanted.length; at += BATCH) {
      const { rows } = await client.query<RowValues>(
        `SELECT ${columnsSql(tables, table)} FROM ${sqlName(tables, table)} WHERE uuid = ANY($1)`,
        [wanted.slice(at, at + BATCH)],
      );
      for (const row of rows) found.set(String(row.uuid), boundedRow(row));
    }
  }
  return found;
}
