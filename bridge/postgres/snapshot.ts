/** Reads the rows of the permission graph as of one moment, and tells which transactions that moment already contains. */
import type pg from "pg";
import { type Lsn, parseLsn } from "../../core/lsn.ts";
import { boundedRow, columnsSql } from "./bounded-columns.ts";
import { type FoundTables, sqlName } from "./found-tables.ts";
import type { RowChange } from "./row.ts";
import { GRAPH_TABLES, keyOf } from "./tables.ts";

/** Rows in one query; of tokens fewer, since each may have long scopes. */
const PAGE = 10_000;
const TOKEN_PAGE = 1_000;

export type Snapshot = {
  /** As PostgreSQL writes it: `xmin:xmax:xip,...`. */
  text: string;
  /** No transaction that was committed behind this position is part of what was read. */
  until: Lsn;
  /** Is the transaction with this 32-bit id part of what was read? */
  contains(xid: number): boolean;
};

/** Hands every row over, as inserts, in pages. The client must be in no transaction. */
export async function readSnapshot(
  client: pg.Client,
  tables: FoundTables,
  take: (rows: RowChange[]) => void,
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
        take(page.rows.map((row) => ({ table, op: "insert", id: keyOf(table, row), row: boundedRow(row) })));
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
 * Visibility in a PostgreSQL snapshot `xmin:xmax:xip,...` (64-bit ids) of a 32-bit transaction id as pgoutput sends it.
 * Ids wrap: the 64-bit one meant is the one nearest to xmax.
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
