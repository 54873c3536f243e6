/**
 * Decodes pgoutput, version 1 (PostgreSQL's "Logical Replication Message Formats"): only the tables and columns that the bridge asks for, and
 * no value longer than a bound. Pure; `commit/replication.ts` calls it.
 */
import type { Lsn } from "../../core/lsn.ts";
import { type RowValues, TOO_LONG } from "./row.ts";

/** How a column is read: as text of at most so many bytes (longer: `TOO_LONG`), or as the bytes of the message. */
export type ColumnForm = number | "bytes";

/** The columns to read of a table; null = its rows are skipped. */
export type ColumnSelection = (schema: string, table: string) => ReadonlyMap<string, ColumnForm> | null;

export type Relation = { schema: string; name: string };

export type PgMessage =
  /** `lsn`: the commit record's own position, before its end. */
  | { tag: "begin"; lsn: Lsn; xid: number }
  | { tag: "insert"; relation: Relation; new: RowValues }
  /** `old`: the former key, or the whole former row, where PostgreSQL sends it. */
  | { tag: "update"; relation: Relation; old: RowValues | null; new: RowValues }
  | { tag: "delete"; relation: Relation; old: RowValues }
  | { tag: "truncate"; relations: Relation[] }
  /** `time`: UTC milliseconds. */
  | { tag: "commit"; endLsn: Lsn; time: number };

/** 2000-01-01, where PostgreSQL's clock begins, in UTC milliseconds. */
const POSTGRES_EPOCH_MS = 946_684_800_000;

type Described = Relation & { columns: { name: string; form: ColumnForm | null }[]; isRead: boolean };

export class PgoutputReader {
  readonly #columns: ColumnSelection;
  readonly #relations = new Map<number, Described>();

  constructor(columns: ColumnSelection) {
    this.#columns = columns;
  }

  /** Null for a message that is not needed. @throws where it is no pgoutput message */
  read(data: Buffer): PgMessage | null {
    switch (String.fromCharCode(data[0] as number)) {
      case "B":
        return { tag: "begin", lsn: data.readBigUInt64BE(1), xid: data.readUInt32BE(17) };
      case "C":
        return { tag: "commit", endLsn: data.readBigUInt64BE(10), time: millis(data.readBigInt64BE(18)) };
      case "R":
        this.#describe(data);
        return null;
      case "I":
        return this.#insert(data);
      case "U":
        return this.#update(data);
      case "D":
        return this.#delete(data);
      case "T":
        return this.#truncate(data);
      case "O":
      case "Y":
      case "M":
        return null;
      default:
        throw new Error(`a message of unknown type ${data[0]} in the replication stream`);
    }
  }

  #describe(data: Buffer): void {
    const schema = textAt(data, 5);
    const table = textAt(data, schema.end);
    const forms = this.#columns(schema.text, table.text);
    const columns: Described["columns"] = [];
    let at = table.end + 3;
    for (let left = data.readUInt16BE(table.end + 1); left > 0; left--) {
      const name = textAt(data, at + 1);
      columns.push({ name: name.text, form: forms?.get(name.text) ?? null });
      // Type and its modifier.
      at = name.end + 8;
    }
    const relation = { schema: schema.text, name: table.text, columns, isRead: forms !== null };
    this.#relations.set(data.readUInt32BE(1), relation);
  }

  #insert(data: Buffer): PgMessage | null {
    const relation = this.#relationAt(data, 1);
    return relation.isRead ? { tag: "insert", relation, new: tuple(data, 6, relation).row } : null;
  }

  #update(data: Buffer): PgMessage | null {
    const relation = this.#relationAt(data, 1);
    if (!relation.isRead) return null;
    if (data[5] === 0x4e) return { tag: "update", relation, old: null, new: tuple(data, 6, relation).row };
    const old = tuple(data, 6, relation);
    const { row } = tuple(data, old.end + 1, relation);
    // A full former row has every value; a former key is NULL in all other columns.
    if (data[5] === 0x4f) for (const name in old.row) if (row[name] === undefined) row[name] = old.row[name];
    return { tag: "update", relation, old: old.row, new: row };
  }

  #delete(data: Buffer): PgMessage | null {
    const relation = this.#relationAt(data, 1);
    return relation.isRead ? { tag: "delete", relation, old: tuple(data, 6, relation).row } : null;
  }

  #truncate(data: Buffer): PgMessage {
    const count = data.readUInt32BE(1);
    const relations = Array.from({ length: count }, (_, place) => this.#relationAt(data, 6 + 4 * place));
    return { tag: "truncate", relations: relations.filter(({ isRead }) => isRead) };
  }

  #relationAt(data: Buffer, at: number): Described {
    const relation = this.#relations.get(data.readUInt32BE(at));
    if (!relation) throw new Error("a row of a table that the replication stream did not describe");
    return relation;
  }
}

/** The number of columns, then for each: `n` (NULL), `u` (unchanged), or `t` / `b`, a length and the value. */
function tuple(data: Buffer, start: number, { columns }: Described): { row: RowValues; end: number } {
  const row: RowValues = {};
  const count = data.readUInt16BE(start);
  let at = start + 2;
  for (let place = 0; place < count; place++) {
    const kind = data[at++];
    const column = columns[place];
    if (kind === 0x6e) {
      if (column?.form != null) row[column.name] = null;
      continue;
    }
    if (kind === 0x75) continue;
    const length = data.readUInt32BE(at);
    const end = at + 4 + length;
    if (end > data.length) throw new Error("a row in the replication stream is cut off");
    if (column?.form === "bytes") row[column.name] = data.subarray(at + 4, end);
    else if (column?.form != null)
      row[column.name] = length > column.form ? TOO_LONG : data.toString("utf8", at + 4, end);
    at = end;
  }
  return { row, end: at };
}

function textAt(data: Buffer, start: number): { text: string; end: number } {
  const end = data.indexOf(0, start);
  if (end < 0) throw new Error("a name in the replication stream does not end");
  return { text: data.toString("utf8", start, end), end: end + 1 };
}

function millis(micros: bigint): number {
  return POSTGRES_EPOCH_MS + Number(micros / 1000n);
}
