/**
 * The rows that GRAPH should hold, by kind and uuid, with the numeric ids that deletes are known by.
 * Turns row changes into graph changes; says which heads of permission links must be looked up. Pure.
 */
import type { GraphChange, GraphKind, GraphRows, Replacement } from "../core/rows.ts";
import { isGroupUuid, isUserUuid } from "../core/uuid.ts";
import { CONVERT, KIND_OF_TABLE, type RowContext, tableOf } from "./graph-rows.ts";
import type { RowChange } from "./row.ts";
import type { TableName } from "./tables.ts";

export class GraphState {
  readonly #clusterId: string;
  readonly #rows = new Map<GraphKind, Map<string, GraphRows[GraphKind]>>();
  /** `table:id` -> uuid, of every row kept here. */
  readonly #ids = new Map<string, string>();
  /** How many permission links have this object, neither user nor group, as their head. */
  readonly #headCount = new Map<string, number>();
  readonly #unknown = new Set<string>();
  readonly #forgotten = new Set<string>();
  readonly #context: RowContext;

  constructor(clusterId: string) {
    this.#clusterId = clusterId;
    this.#context = { clusterId: this.#clusterId, userUuid: (id) => this.uuidOf("users", id) };
  }

  uuidOf(table: TableName, id: number): string | undefined {
    return this.#ids.get(`${table}:${id}`);
  }

  row<K extends GraphKind>(kind: K, uuid: string): GraphRows[K] | undefined {
    return this.#rows.get(kind)?.get(uuid) as GraphRows[K] | undefined;
  }

  /** Every row kept, as changes. */
  *all(): Generator<GraphChange> {
    for (const [kind, rows] of this.#rows) {
      for (const [uuid, row] of rows) yield { kind, uuid, row } as GraphChange;
    }
  }

  /** Takes in rows as GRAPH holds them. A head without an owner had none. */
  load(changes: Iterable<GraphChange>): void {
    for (const { kind, uuid, row } of changes) {
      if (row === null) continue;
      const table = tableOf(kind, uuid);
      if (table) this.#ids.set(`${table}:${row.id}`, uuid);
      this.#set(kind, uuid, row);
    }
    this.#unknown.clear();
  }

  /** Applies a commit's row changes; returns what changed in the graph, each row once: its last value, and the one before the commit. */
  apply(changes: readonly RowChange[]): Replacement[] {
    const out = new Map<string, Replacement>();
    const note = (change: Replacement | null) => {
      if (!change) return;
      const key = `${change.kind}:${change.uuid}`;
      const before = out.get(key);
      out.set(key, before ? ({ ...change, replaced: before.replaced } as Replacement) : change);
    };
    for (const change of changes) {
      // The owner first: a deleted row's id is known until its own change has been taken.
      note(this.#ownerChange(change));
      note(this.#renamed(change));
      note(this.#graphChange(change));
    }
    for (const head of this.#forgotten) note(this.#forget(head));
    this.#forgotten.clear();
    return [...out.values()];
  }

  /** Heads of permission links whose owner must be looked up; each is named once (one that does not exist may come as a row later). */
  takeUnknownHeads(): string[] {
    const heads = [...this.#unknown].filter((head) => !this.row("owner", head));
    this.#unknown.clear();
    return heads;
  }

  /** The owner of a head that was looked up in `table`. */
  setOwner(table: TableName, row: GraphRows["owner"]): Replacement {
    const replaced = this.row("owner", row.uuid) ?? null;
    this.#ids.set(`${table}:${row.id}`, row.uuid);
    this.#put("owner", row.uuid, row);
    return { kind: "owner", uuid: row.uuid, row, replaced };
  }

  /** The row under the uuid that it had: with it goes whatever was let in by that. */
  #renamed(change: RowChange): Replacement | null {
    const kind = KIND_OF_TABLE[change.table];
    const known = this.#ids.get(`${change.table}:${change.id}`);
    if (!kind || change.op === "delete" || known === undefined || known === change.row.uuid) return null;
    return this.#set(kind, known, null);
  }

  #graphChange(change: RowChange): Replacement | null {
    const kind = KIND_OF_TABLE[change.table];
    if (!kind || kind === "owner") return null;
    const key = `${change.table}:${change.id}`;
    const known = this.#ids.get(key);
    if (change.op === "delete") {
      if (known === undefined || !this.row(kind, known)) return null;
      this.#ids.delete(key);
      return this.#set(kind, known, null);
    }
    const uuid = String(change.row.uuid);
    // The conversion table is keyed by kind, so the row it returns is of that kind: TypeScript cannot follow that through a union.
    const convert = CONVERT[kind] as (...args: unknown[]) => GraphRows[GraphKind] | null;
    const row = convert(change.row, this.row(kind, uuid), this.#context);
    if (row) this.#ids.set(key, uuid);
    return this.#set(kind, uuid, row);
  }

  /** Null where nothing changed. */
  #set(kind: GraphKind, uuid: string, row: GraphRows[GraphKind] | null): Replacement | null {
    const old = this.row(kind, uuid);
    if (row ? old && same(old, row) : !old) return null;
    if (kind === "link") {
      this.#countHead((old as GraphRows["link"] | undefined)?.head_uuid, -1);
      this.#countHead((row as GraphRows["link"] | null)?.head_uuid, 1);
    }
    this.#put(kind, uuid, row);
    return { kind, uuid, row, replaced: old ?? null } as Replacement;
  }

  /** The owner row of an object whose last permission link has gone. */
  #forget(head: string): Replacement | null {
    return this.#headCount.has(head) ? null : this.#set("owner", head, null);
  }

  /** Where a tracked head lives now. */
  #ownerChange(change: RowChange): Replacement | null {
    if (change.table === "users" || change.table === "groups" || change.table === "links") return null;
    const uuid = change.op === "delete" ? this.uuidOf(change.table, change.id) : String(change.row.uuid);
    if (uuid === undefined || !this.#headCount.has(uuid)) return null;
    if (change.op === "delete") return this.#set("owner", uuid, null);
    if (typeof change.row.owner_uuid !== "string") return null;
    this.#ids.set(`${change.table}:${change.id}`, uuid);
    return this.#set("owner", uuid, { id: change.id, uuid, owner_uuid: change.row.owner_uuid });
  }

  #countHead(head: string | undefined, by: 1 | -1): void {
    if (!head || isUserUuid(head) || isGroupUuid(head)) return;
    const count = (this.#headCount.get(head) ?? 0) + by;
    if (count > 0) this.#headCount.set(head, count);
    else this.#headCount.delete(head);
    (count > 0 ? this.#unknown : this.#forgotten).add(head);
  }

  #put(kind: GraphKind, uuid: string, row: GraphRows[GraphKind] | null): void {
    const rows = this.#rows.get(kind) ?? new Map();
    this.#rows.set(kind, rows);
    if (row) rows.set(uuid, row);
    else rows.delete(uuid);
  }
}

function same(a: object, b: object): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
