/** One committed transaction, assembled from pgoutput messages. Rows that do not fit into memory are in a file. */
import type { Lsn } from "../../core/lsn.ts";
import { textBytes } from "../postgres/bounded-columns.ts";
import type { ColumnForm, PgMessage, Relation } from "../postgres/pgoutput.ts";
import type { RowChange, RowValues } from "../postgres/row.ts";
import { isTable, KEY_OF, keyOf, READ_TABLES, type TableName } from "../postgres/tables.ts";
import { CommitRows } from "../rows/commit-rows.ts";
import { KIND_OF_TABLE } from "../rows/graph-rows.ts";
import { type LogRow, logRow, logRowBytes } from "../rows/log-row.ts";
import { COMMIT_MEMORY, SpillList, type SpillOptions } from "../spill/spill-list.ts";

export type Commit = {
  /** End of the commit record: the position that is confirmed and that events carry. */
  lsn: Lsn;
  xid: number;
  /** UTC milliseconds. */
  time: number;
  rows: CommitRows;
  logs: SpillList<LogRow>;
  /** Number of log rows that cannot be events. */
  badLogs: number;
};

export class CommitAssembler {
  readonly #memory: SpillOptions;
  #open: Pick<Commit, "xid" | "rows" | "logs" | "badLogs"> | null = null;

  constructor(memory: SpillOptions = COMMIT_MEMORY) {
    this.#memory = memory;
  }

  /** Returns the commit that the message completes, or null. The caller closes the commit. @throws spill.failed */
  add(message: PgMessage): Commit | null {
    switch (message.tag) {
      case "begin":
        this.close();
        this.#open = {
          xid: message.xid,
          rows: new CommitRows(this.#memory),
          logs: new SpillList(this.#memory),
          badLogs: 0,
        };
        return null;
      case "insert":
        this.#written("insert", message.relation, null, message.new);
        return null;
      case "update":
        this.#written("update", message.relation, message.old, message.new);
        return null;
      case "delete":
        this.#change(message.relation, (table) => ({ table, op: "delete", id: keyOf(table, message.old), row: null }));
        return null;
      case "truncate":
        for (const relation of message.relations) {
          this.#change(relation, (table) => ({ table, op: "truncate", id: null, row: null }));
        }
        return null;
      case "commit": {
        const open = this.#open;
        this.#open = null;
        return open && { ...open, lsn: message.endLsn, time: message.time };
      }
    }
  }

  /** Discards a transaction that has not ended. */
  close(): void {
    if (this.#open) closeCommit(this.#open);
    this.#open = null;
  }

  #written(op: "insert" | "update", relation: Relation, old: RowValues | null, row: RowValues): void {
    if (relation.name === "logs") return op === "insert" ? this.#log(row) : undefined;
    this.#change(relation, (table) => {
      const id = keyOf(table, row);
      const formerId = old && old[KEY_OF[table]] != null ? keyOf(table, old) : id;
      const change = { table, op, id, row: keptOf(table, row) };
      return formerId === id ? change : { ...change, formerId };
    });
  }

  #change({ name }: Relation, change: (table: TableName) => RowChange): void {
    if (isTable(name)) this.#open?.rows.append(change(name));
  }

  #log(row: RowValues): void {
    if (!this.#open) return;
    const log = logRow(row);
    if (log) this.#open.logs.append(log, logRowBytes(log));
    else this.#open.badLogs++;
  }
}

export function closeCommit({ rows, logs }: Pick<Commit, "rows" | "logs">): void {
  rows.close();
  logs.close();
}

/** How the columns of a table are read. A log row's properties stay bytes: they may have any size, and most of them are not used. */
export function columnForms(table: string): ReadonlyMap<string, ColumnForm> | null {
  if (table !== "logs" && !isTable(table)) return null;
  return new Map(READ_TABLES[table].map((name) => [name, name === "properties" ? "bytes" : textBytes(name)]));
}

/** Of a row that is not in the graph only the owner is needed, and a huge transaction may hold very many of them. */
function keptOf(table: TableName, row: RowValues): RowValues {
  if (KIND_OF_TABLE[table]) return row;
  const { uuid, owner_uuid, trash_at } = row;
  return { uuid, owner_uuid, trash_at };
}
