/**
 * The rows that a transaction changed, in its order. They are kept until the transaction ends, because log rows come after their objects, and
 * both may be millions. The history of an object in the commit is found by its uuid, or by the key of its row.
 */
import { setImmediate } from "node:timers/promises";
import type { RowId } from "../../core/rows.ts";
import type { RowChange } from "../postgres/row.ts";
import type { TableName } from "../postgres/tables.ts";
import { SpillIndex } from "../spill/spill-index.ts";
import { COMMIT_MEMORY, SpillList, type SpillOptions } from "../spill/spill-list.ts";

export type Written = Extract<RowChange, { op: "insert" | "update" }>;

/** The changes of one row in a commit. */
export type RowHistory = {
  /** The row after the commit; null = it is deleted. */
  last: Written | null;
  /** The row as last written, also where it is deleted; null = it was only deleted. */
  written: Written | null;
  /** The commit created it. */
  isNew: boolean;
  inserted: boolean;
  updated: boolean;
};

/** Rows that are indexed before the event loop gets a turn. */
const SLICE = 5_000;
/** Memory of an object besides its texts. */
const ROW_BYTES = 250;

export class CommitRows implements Iterable<RowChange> {
  readonly #list: SpillList<RowChange>;
  readonly #options: SpillOptions;
  readonly #truncated = new Map<TableName, number>();
  readonly #tables = new Set<TableName>();
  #find: ((name: string) => number[]) | null = null;
  #index: SpillIndex | null = null;

  constructor(options: SpillOptions = COMMIT_MEMORY) {
    this.#options = options;
    this.#list = new SpillList(options);
  }

  get length(): number {
    return this.#list.length;
  }

  /** Does the commit change rows of this table? */
  has(table: TableName): boolean {
    return this.#tables.has(table);
  }

  append(change: RowChange): void {
    this.#tables.add(change.table);
    this.#list.append(change, sizeOf(change));
    this.#find = null;
  }

  [Symbol.iterator](): Iterator<RowChange> {
    return this.#list[Symbol.iterator]();
  }

  /** Null: no row of the commit has or had this uuid. Needs `prepare`. */
  ofUuid(uuid: string): RowHistory | null {
    const list = this.#read(uuidName(uuid), (change) => change.row?.uuid === uuid);
    const written = list.at(-1);
    if (!written || written.change.row === null) return null;
    const { table, id } = written.change;
    const history = this.ofId(table, id);
    // The row may have another uuid by now.
    return history?.last?.row.uuid === uuid ? history : history && { ...history, last: null };
  }

  /** Null: the commit did not change the row with this key. */
  ofId(table: TableName, id: RowId): RowHistory | null {
    const list = this.#read(
      keyName(table, id),
      (change) => change.table === table && (change.id === id || ("formerId" in change && change.formerId === id)),
    );
    const [first] = list;
    const end = list.at(-1);
    if (!first || !end) return null;
    const isThere = end.change.row !== null && end.change.id === id && end.place > (this.#truncated.get(table) ?? -1);
    return {
      last: isThere ? (end.change as Written) : null,
      written: (list.findLast(({ change }) => change.row !== null)?.change as Written | undefined) ?? null,
      isNew: first.change.op === "insert",
      inserted: list.some(({ change }) => change.op === "insert"),
      updated: list.some(({ change }) => change.op === "update"),
    };
  }

  /** To be awaited before `ofUuid` and `ofId` are called: it indexes a commit that is in a file. */
  async prepare(): Promise<void> {
    if (!this.#list.isSpilled) return;
    const index = new SpillIndex(this.#options.folder);
    this.#index = index;
    let steps = 0;
    for (const [name, place] of this.#names()) {
      index.add(name, place);
      if (++steps % SLICE === 0) await setImmediate();
    }
    index.seal();
    this.#find = (name) => index.find(name);
  }

  close(): void {
    this.#list.close();
    this.#index?.close();
  }

  #read(name: string, is: (change: RowChange) => boolean): { place: number; change: RowChange }[] {
    this.#find ??= this.#indexMemory();
    const all = this.#find(name).map((place) => ({ place, change: this.#list.at(place) }));
    return all.filter(({ change }) => is(change));
  }

  #indexMemory(): (name: string) => number[] {
    const places = new Map<string, number[]>();
    for (const [name, place] of this.#names()) {
      const known = places.get(name);
      if (known) known.push(place);
      else places.set(name, [place]);
    }
    return (name) => places.get(name) ?? [];
  }

  *#names(): Generator<[name: string, place: number]> {
    for (const [place, change] of this.#list.entries()) {
      if (change.op === "truncate") {
        this.#truncated.set(change.table, place);
        continue;
      }
      yield [keyName(change.table, change.id), place];
      if (change.op === "delete") continue;
      if (typeof change.row.uuid === "string") yield [uuidName(change.row.uuid), place];
      if (change.formerId !== undefined) yield [keyName(change.table, change.formerId), place];
    }
  }
}

function uuidName(uuid: string): string {
  return `u ${uuid}`;
}

function keyName(table: TableName, key: RowId): string {
  return `${table} ${key}`;
}

function sizeOf({ row }: RowChange): number {
  let bytes = ROW_BYTES;
  for (const name in row) {
    const value = row[name];
    if (typeof value === "string") bytes += value.length;
  }
  return bytes;
}
