/**
 * What really was committed, in commit order, as PostgreSQL itself tells: by a replication slot of the checker's own over a publication
 * of its own, parsed here and not by the bridge's code.
 */
import type pg from "pg";

export type TrueLog = {
  object: string;
  type: string;
  owner: string | null;
  oldOwner: string | null;
};
export type TrueCommit = { lsn: string; logs: TrueLog[] };

const SLOT = "chaos_truth";
const PUBLICATION = "chaos_truth";
const COLUMNS = ["id", "object_uuid", "event_type", "object_owner_uuid", "properties"] as const;

export async function openCommitLog(pool: pg.Pool): Promise<void> {
  await pool.query(
    `CREATE PUBLICATION ${PUBLICATION} FOR TABLE logs (${COLUMNS.join(", ")}) WITH (publish = 'insert')`,
  );
  await pool.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [SLOT]);
}

/** Everything committed since `openCommitLog`. */
export async function readCommitLog(pool: pg.Pool): Promise<TrueCommit[]> {
  const { rows } = await pool.query<{ data: Buffer }>(
    `SELECT data FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, 'proto_version', '1', 'publication_names', $2)`,
    [SLOT, PUBLICATION],
  );
  const commits: TrueCommit[] = [];
  let logs: TrueLog[] = [];
  for (const { data } of rows) {
    const tag = String.fromCharCode(data[0] as number);
    if (tag === "B") logs = [];
    if (tag === "I") logs.push(insertedLog(data));
    // Tag, flags, the commit's position, its end.
    if (tag === "C" && logs.length > 0) commits.push({ lsn: position(data.readBigUInt64BE(10)), logs });
  }
  return commits;
}

/** Insert: tag, relation, `N`, number of columns, then each `n` or `t` + length + text. */
function insertedLog(data: Buffer): TrueLog {
  const values: (string | null)[] = [];
  let at = 8;
  for (let left = data.readUInt16BE(6); left > 0; left--) {
    const kind = String.fromCharCode(data[at++] as number);
    if (kind !== "t") {
      values.push(null);
      continue;
    }
    const length = data.readUInt32BE(at);
    values.push(data.toString("utf8", at + 4, at + 4 + length));
    at += 4 + length;
  }
  // In the table's own order of columns.
  const [, object, owner, type, properties] = values;
  const old = JSON.parse(properties ?? "{}") as { old_attributes?: { owner_uuid?: string } | null };
  return {
    object: object ?? "",
    type: type ?? "",
    owner: owner ?? null,
    oldOwner: old.old_attributes?.owner_uuid ?? null,
  };
}

function position(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;
}
