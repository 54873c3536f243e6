/** Reads the rows of the permission graph in one snapshot, and which transactions that snapshot contains. */
import type pg from "pg";
import { type Lsn, parseLsn } from "../../core/lsn.ts";
import { boundedRow, columnsSql } from "./bounded-columns.ts";
import { type FoundTables, sqlName } from "./found-tables.ts";
import type { RowChange } from "./row.ts";
import { GRAPH_TABLES, keyOf } from "./tables.ts";

/** Rows in one query; fewer tokens, because each may have long scopes. */
const PAGE = 10_000;
const TOKEN_PAGE = 1_000;

export type Snapshot = {
  /** As PostgreSQL writes it: `xmin:xmax:xip,...`. */
  text: string;
  /** No transaction that was committed after this position is in the snapshot. */
  until: Lsn;
  /** Is the transaction with this 32-bit id in the snapshot? */
  contains(xid: number): boolean;
};

/** Passes every row to `onRows`, as inserts, in pages. The client must not be in a transaction. */
export async function readSnapshot(
  client: pg.Client,
  tables: FoundTables,
  onRows: (rows: RowChange[]) => void,
): Promise<Snapshot> {
  await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  try {
    const { rows } = await client.query<{ snapshot: string; until: string }>(
      "SELECT pg_current_snapshot()::text AS snapshot, pg_current_wal_insert_lsn()::text AS until",
    );
    for (const table of GRAPH_TABLES) {
      const size = table === "api_client_authorizations" ? TOKEN_PAGE : PAGE;
      const filter = table === "links" ? "AND link_class = 'permission'" : "";
      for (let after = "0"; ; ) {
        const page = await client.query({
          text: `SELECT ${columnsSql(tables, table)} FROM ${sqlName(tables, table)} WHERE id > $1 ${filter} ORDER BY id LIMIT ${size}`,
          values: [after],
        });
        onRows(page.rows.map((row) => ({ table, op: "insert", id: keyOf(table, row), row: boundedRow(row) })));
        if (page.rows.length < size) break;
        after = String(page.rows.at(-1)?.id);
      }
    }
    const text = rows[0]?.snapshot ?? "";
    return { text, until: parseLsn(rows[0]?.until ?? ""), contains: visibleIn(text) };
  } finally {
    await client.query("ROLLBACK");
  }
}

/**
 * Visibility of a 32-bit transaction id, as pgoutput sends it, in a PostgreSQL snapshot `xmin:xmax:xip,...` (64-bit ids). Ids wrap, so the
 * 64-bit id nearest to xmax is meant.
 */
export function visibleIn(snapshot: string): (xid: number) => boolean {
  const [xmin = "0", xmax = "0", running = ""] = snapshot.split(":");
  const low = BigInt(xmin);
  const high = BigInt(xmax);
  const inProgress = new Set(running === "" ? [] : running.split(",").map((xid) => BigInt(xid)));
  return (xid) => {
    const distance = BigInt.asIntN(32, BigInt(xid) - high);
    const full = high + distance;
    if (full < low) return true;
    return full < high && !inProgress.has(full);
  };
}
