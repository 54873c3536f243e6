/** Transactions in commit order as a replication slot tells them, asked for in SQL and parsed here, not by the product's code. */
import type pg from "pg";

/** Columns by name as PostgreSQL writes them. Of a delete only the replica identity; a large value that did not change is not there. */
export type ColumnTexts = Record<string, string | null>;

export type DecodedChange = { table: string; op: "insert" | "update" | "delete"; columns: ColumnTexts };

export type CommittedTransaction = {
  /** End of the commit record. */
  lsn: string;
  /** UTC milliseconds, by the database's clock. */
  time: number;
  changes: DecodedChange[];
};

export type NamedSlot = { name: string; publication: string };

/** What was committed since the slot was made, or with `consume` since it was last read so. */
export async function readSlot(pool: pg.Pool, slot: NamedSlot, consume = false): Promise<CommittedTransaction[]> {
  const { rows } = await pool.query<{ data: Buffer }>(
    `SELECT data FROM pg_logical_slot_${consume ? "get" : "peek"}_binary_changes($1, NULL, NULL, 'proto_version', '1', 'publication_names', $2)`,
    [slot.name, slot.publication],
  );
  const decoder = new Decoder();
  return rows.flatMap(({ data }) => decoder.take(data) ?? []);
}

/** 2000-01-01, where PostgreSQL's clock begins, in UTC milliseconds. */
const POSTGRES_EPOCH = 946_684_800_000;

type Relation = { table: string; columns: string[] };

/** The messages of pgoutput, version 1. */
class Decoder {
  readonly #relations = new Map<number, Relation>();
  #changes: DecodedChange[] = [];

  /** Returns the transaction that the message completes, or null. */
  take(data: Buffer): CommittedTransaction | null {
    switch (tagAt(data, 0)) {
      case "B":
        this.#changes = [];
        return null;
      case "R":
        this.#relation(data);
        return null;
      case "I":
        this.#change(data, "insert", 6);
        return null;
      case "U":
        // The old key stands before the new row where the key has changed.
        this.#change(data, "update", tagAt(data, 5) === "N" ? 6 : this.#tuple(data, 6, []).end + 1);
        return null;
      case "D":
        this.#change(data, "delete", 6);
        return null;
      case "C":
        return {
          lsn: position(data.readBigUInt64BE(10)),
          time: POSTGRES_EPOCH + Number(data.readBigInt64BE(18) / 1000n),
          changes: this.#changes,
        };
      default:
        return null;
    }
  }

  #relation(data: Buffer): void {
    const [, afterSchema] = text(data, 5);
    const [table, afterTable] = text(data, afterSchema);
    const columns: string[] = [];
    let at = afterTable + 3;
    for (let left = data.readUInt16BE(afterTable + 1); left > 0; left--) {
      const [name, end] = text(data, at + 1);
      columns.push(name);
      at = end + 8;
    }
    this.#relations.set(data.readUInt32BE(1), { table, columns });
  }

  #change(data: Buffer, op: DecodedChange["op"], at: number): void {
    const relation = this.#relations.get(data.readUInt32BE(1));
    if (!relation) throw new Error("a change of a table that was not described");
    this.#changes.push({ table: relation.table, op, columns: this.#tuple(data, at, relation.columns).columns });
  }

  /** Number of columns, then each `n`, `u`, or `t` + length + text. */
  #tuple(data: Buffer, start: number, names: readonly string[]): { columns: ColumnTexts; end: number } {
    const columns: ColumnTexts = {};
    let at = start + 2;
    for (let place = 0; place < data.readUInt16BE(start); place++) {
      const kind = tagAt(data, at++);
      const name = names[place] ?? "";
      if (kind === "n") columns[name] = null;
      if (kind !== "t") continue;
      const length = data.readUInt32BE(at);
      columns[name] = data.toString("utf8", at + 4, at + 4 + length);
      at += 4 + length;
    }
    return { columns, end: at };
  }
}

function tagAt(data: Buffer, at: number): string {
  return String.fromCharCode(data[at] as number);
}

/** A string that ends with a zero byte, and where the next thing begins. */
function text(data: Buffer, at: number): [string, number] {
  const end = data.indexOf(0, at);
  return [data.toString("utf8", at, end), end + 1];
}

function position(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;
}
