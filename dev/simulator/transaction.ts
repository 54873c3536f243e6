/** One transaction of the simulated Arvados: what every operation works with, and how it is committed. */
import type { FieldDef, Pool, PoolClient } from "pg";
import { wellKnown } from "../../core/uuid.ts";
import { type ColumnValue, parameterOf, TypedRow } from "./typed-row.ts";
import type { UuidMaker } from "./uuid-maker.ts";

export type Transaction = {
  readonly clusterId: string;
  /** The uuids that every cluster has. */
  readonly known: ReturnType<typeof wellKnown>;
  readonly uuids: UuidMaker;
  /** The time now, `YYYY-MM-DD HH:MM:SS.ffffff` UTC; each call is later than the one before. */
  readonly now: () => string;
  /** Any SQL, for what Arvados does past its models: no log row, no NOTIFY. */
  query(sql: string, values?: readonly ColumnValue[]): Promise<TypedRow[]>;
  /** Ids of the log rows written so far. */
  readonly logIds: number[];
};

/** What a transaction leaves behind. `lsn` = the end of the WAL right after COMMIT, so not before the commit's own (`0/16B3748`). */
export type SimulatedCommit = { lsn: string; logIds: number[] };

type TransactionParts = { pool: Pool; clusterId: string; uuids: UuidMaker; now: () => string };

export async function inTransaction<T>(
  parts: TransactionParts,
  work: (tx: Transaction) => Promise<T>,
): Promise<{ value: T } & SimulatedCommit> {
  const client = await parts.pool.connect();
  let broken: Error | undefined;
  try {
    const tx = begin(parts, client);
    await client.query("BEGIN");
    const value = await work(tx);
    return { value, lsn: await commit(client), logIds: tx.logIds };
  } catch (error) {
    // Where even ROLLBACK fails the connection is lost, and with it the transaction.
    await client.query("ROLLBACK").catch((lost: Error) => {
      broken = lost;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

function begin({ clusterId, uuids, now }: TransactionParts, client: PoolClient): Transaction {
  return {
    clusterId,
    known: wellKnown(clusterId),
    uuids,
    now,
    logIds: [],
    async query(sql, values = []) {
      const result = await client.query<Record<string, string | null>>({
        text: sql,
        values: values.map(parameterOf),
        types: AS_TEXT,
      });
      const columns: FieldDef[] = result.fields;
      return result.rows.map((row) => new TypedRow(columns, row));
    },
  };
}

const AS_TEXT = { getTypeParser: () => (text: string) => text };

async function commit(client: PoolClient): Promise<string> {
  // One round trip; a query of two statements answers with two results, which the driver's types do not tell.
  const results = (await client.query("COMMIT; SELECT pg_current_wal_lsn() AS lsn")) as unknown as [
    { command: string },
    { rows: [{ lsn: string }] },
  ];
  if (results[0].command !== "COMMIT") throw new Error("the transaction was rolled back: a statement in it had failed");
  return results[1].rows[0].lsn;
}
