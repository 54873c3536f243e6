/** One committed transaction as the bridge sees it, assembled from pgoutput messages. Pure. */
import { fault } from "../core/errors.ts";
import { type Lsn, parseLsn } from "../core/lsn.ts";
import { KIND_OF_TABLE } from "./graph-rows.ts";
import { type LogRow, logRow } from "./log-row.ts";
import type { Row, RowChange } from "./row.ts";
import { isTable, keyOf, type TableName } from "./tables.ts";

export type Commit = {
  /** End of the commit record: the position to confirm, and the one events carry. */
  lsn: Lsn;
  xid: number;
  /** UTC milliseconds. */
  time: number;
  rows: RowChange[];
  logs: LogRow[];
  /** Log rows that cannot be events, whoever wrote them. */
  badLogs: number;
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
  #open: Pick<Commit, "xid" | "rows" | "logs" | "badLogs"> | null = null;

  /** Takes one message; returns the commit that it completes, or null. */
  take(message: PgMessage): Commit | null {
    switch (message.tag) {
      case "begin":
        this.#open = { xid: message.xid >>> 0, rows: [], logs: [], badLogs: 0 };
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
    if (!this.#open) return;
    if (name === "logs") {
      if (op !== "insert") return;
      const log = logRow(row);
      if (log) this.#open.logs.push(log);
      else this.#open.badLogs++;
    } else if (isTable(name)) {
      this.#open.rows.push({ table: name, op, id: keyOf(name, row), row: keptOf(name, row) });
    }
  }

  #deleted(name: string, key: Row | null): void {
    if (isTable(name)) this.#open?.rows.push({ table: name, op: "delete", id: keyOf(name, key), row: null });
  }

  #commit(endLsn: string | null, commitTime: bigint): Commit | null {
    const open = this.#open;
    this.#open = null;
    if (!open || endLsn === null) return null;
    return { ...open, lsn: parseLsn(endLsn), time: Number(commitTime / 1000n) };
  }
}

/** Of a row that is not in the graph only its place is of use, and a huge transaction may hold very many. */
function keptOf(table: TableName, row: Row): Row {
  if (KIND_OF_TABLE[table]) return row;
  const { uuid, owner_uuid, trash_at } = row;
  return { uuid, owner_uuid, trash_at };
}
