/**
 * One committed transaction as the bridge sees it, assembled from pgoutput messages. Pure.
 * Values are as pgoutput sends text: bigint and timestamp columns stay strings. `undefined` = a long value that did not change
 * (an unchanged TOAST datum), which is not the same as null.
 */
import { fault } from "../core/errors.ts";
import { type Lsn, parseLsn } from "../core/lsn.ts";
import { TABLES, type TableName } from "./tables.ts";

export type Row = Record<string, unknown>;

export type RowChange =
  | { table: TableName; op: "insert" | "update"; id: number; row: Row }
  | { table: TableName; op: "delete"; id: number; row: null };

export type LogRow = {
  id: string;
  uuid: string;
  object_uuid: string;
  event_type: string;
  event_at: string;
  properties: string;
};

export type Commit = {
  /** End of the commit record: the position to confirm, and the one events carry. */
  lsn: Lsn;
  xid: number;
  /** UTC milliseconds. */
  time: number;
  rows: RowChange[];
  logs: LogRow[];
};

/** The part of pg-logical-replication's messages that is read here. */
export type PgMessage =
  | { tag: "begin"; commitTime: bigint; xid: number }
  | { tag: "insert" | "update"; relation: { name: string }; new: Row }
  | { tag: "delete"; relation: { name: string }; key: Row | null; old: Row | null }
  | { tag: "truncate"; relations: { name: string }[] }
  | { tag: "commit"; commitEndLsn: string | null; commitTime: bigint }
  | { tag: "origin" | "relation" | "type" | "message" };

export class CommitAssembler {
  #open: { xid: number; rows: RowChange[]; logs: LogRow[] } | null = null;

  /** Takes one message; returns the commit that it completes, or null. */
  take(message: PgMessage): Commit | null {
    switch (message.tag) {
      case "begin":
        this.#open = { xid: message.xid >>> 0, rows: [], logs: [] };
        return null;
      case "insert":
      case "update":
        this.#changed(message.tag, message.relation.name, message.new);
        return null;
      case "delete":
        this.#deleted(message.relation.name, message.key ?? message.old);
        return null;
      case "truncate":
        throw fault("postgres.truncated", { tables: message.relations.map((relation) => relation.name).join(", ") });
      case "commit":
        return this.#commit(message.commitEndLsn, message.commitTime);
      default:
        return null;
    }
  }

  #changed(op: "insert" | "update", name: string, row: Row): void {
    if (name === "logs") {
      const log = logRow(row);
      if (log && op === "insert") this.#open?.logs.push(log);
    } else if (isTable(name)) {
      this.#open?.rows.push({ table: name, op, id: Number(row.id), row });
    }
  }

  #deleted(name: string, key: Row | null): void {
    if (isTable(name)) this.#open?.rows.push({ table: name, op: "delete", id: Number(key?.id), row: null });
  }

  #commit(endLsn: string | null, commitTime: bigint): Commit | null {
    const open = this.#open;
    this.#open = null;
    if (!open || endLsn === null) return null;
    return { ...open, lsn: parseLsn(endLsn), time: Number(commitTime / 1000n) };
  }
}

function isTable(name: string): name is TableName {
  return Object.hasOwn(TABLES, name);
}

/** Null for a row that cannot be an event: NULL where Arvados always has a value. */
function logRow(row: Row): LogRow | null {
  const { id, uuid, object_uuid, event_type, event_at, properties } = row;
  if (typeof uuid !== "string" || typeof object_uuid !== "string") return null;
  if (typeof event_type !== "string" || typeof event_at !== "string") return null;
  return {
    id: String(id),
    uuid,
    object_uuid,
    event_type,
    event_at,
    properties: typeof properties === "string" ? properties : "",
  };
}

/** UTC milliseconds of a `timestamp without time zone`, which Arvados keeps in UTC; null for NULL and infinity (never). */
export function utcMillis(text: unknown): number | null {
  if (typeof text !== "string") return null;
  const time = Date.parse(`${text.replace(" ", "T")}Z`);
  return Number.isNaN(time) ? null : time;
}
