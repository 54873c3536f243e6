/** What really was committed, in commit order: by a replication slot of the checker's own over a publication of its own. */
import type pg from "pg";
import { type ColumnTexts, readSlot } from "../support/servers/pgoutput.ts";

export type TrueLog = {
  id: number;
  object: string;
  type: string;
  owner: string | null;
  oldOwner: string | null;
};
export type TrueCommit = { lsn: string; logs: TrueLog[] };

const SLOT = { name: "chaos_truth", publication: "chaos_truth" };
const COLUMNS = ["id", "object_uuid", "event_type", "object_owner_uuid", "properties"] as const;

export async function openCommitLog(pool: pg.Pool): Promise<void> {
  await pool.query(
    `CREATE PUBLICATION ${SLOT.publication} FOR TABLE logs (${COLUMNS.join(", ")}) WITH (publish = 'insert')`,
  );
  await openSlot(pool);
}

/** What is committed from now on, where the publication is there already. */
export async function openSlot(pool: pg.Pool): Promise<void> {
  await pool.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [SLOT.name]);
}

/** Everything committed since `openCommitLog`. */
export async function readCommitLog(pool: pg.Pool): Promise<TrueCommit[]> {
  const transactions = await readSlot(pool, SLOT);
  return transactions
    .filter(({ changes }) => changes.length > 0)
    .map(({ lsn, changes }) => ({ lsn, logs: changes.map(({ columns }) => trueLog(columns)) }));
}

function trueLog({ id, object_uuid, event_type, object_owner_uuid, properties }: ColumnTexts): TrueLog {
  const old = JSON.parse(properties ?? "{}") as { old_attributes?: { owner_uuid?: string } | null };
  return {
    id: Number(id),
    object: object_uuid ?? "",
    type: event_type ?? "",
    owner: object_owner_uuid ?? null,
    oldOwner: old.old_attributes?.owner_uuid ?? null,
  };
}
