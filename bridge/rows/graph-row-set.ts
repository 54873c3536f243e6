/**
 * The rows that GRAPH must hold, by kind and uuid, with the keys that identify rows in deletes. It turns row changes into graph changes, and
 * knows which heads of permission links must be looked up. Pure; a term has one, and `commit/past-graph.ts` another.
 */
import type { GraphChange, GraphKind, GraphRows, Replacement, RowId } from "../../core/rows.ts";
import { isGroupUuid, isUserUuid, isUuid } from "../../core/uuid.ts";
import { type RowChange, textOrNull } from "../postgres/row.ts";
import { KEY_OF, type TableName } from "../postgres/tables.ts";
import type { Written } from "./commit-rows.ts";
import { CONVERT, KIND_OF_TABLE, type RowContext, tableOfKind } from "./graph-rows.ts";

export class GraphRowSet {
  readonly #rows = new Map<GraphKind, Map<string, GraphRows[GraphKind]>>();
  /** `table:key` -> uuid, of every row kept here. */
  readonly #keys = new Map<string, string>();
  /** By object that is neither user nor group: how many permission links have it as their head. */
  readonly #headCount = new Map<string, number>();
  readonly #unknown = new Set<string>();
  readonly #forgotten = new Set<string>();
  readonly #context: RowContext;

  /** @param unreadable called for each value that cannot be understood, and so grants nothing */
  constructor(clusterId: string, unreadable: RowContext["unreadable"] = () => {}) {
    this.#context = { clusterId, userUuid: (key) => this.uuidOf("users", key), unreadable };
  }

  uuidOf(table: TableName, key: RowId): string | undefined {
    return this.#keys.get(`${table}:${key}`);
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

  /** Loads rows as GRAPH holds them. A head without an owner had none. */
  load(changes: Iterable<GraphChange>): void {
    for (const { kind, uuid, row } of changes) {
      if (row === null) continue;
      const table = tableOfKind(kind, uuid);
      // Earlier versions wrote a number here, whatever the table's key is.
      if (table) this.#keys.set(`${table}:${KEY_OF[table] === "uuid" ? uuid : row.id}`, uuid);
      this.#set(kind, uuid, row);
    }
    this.#unknown.clear();
  }

  /** Applies a commit's row changes. Returns what changed in the graph, each row once: its value after and before the commit. */
  apply(changes: Iterable<RowChange>): Replacement[] {
    const effect = new GraphEffect();
    for (const change of changes) this.applyOne(change, effect);
    return this.finish(effect);
  }

  /** One row change: a part of `apply`, for commits that are applied in slices. */
  applyOne(change: RowChange, effect: GraphEffect): void {
    try {
      for (const replacement of this.#changesOf(change)) effect.note(replacement);
    } catch (error) {
      // One bad row must not stop the others: it counts as deleted and grants nothing.
      this.#context.unreadable(change.table, "(row)");
      if (change.id === null) throw error;
      for (const replacement of this.#forgetKey(change.table, change.id)) effect.note(replacement);
    }
  }

  /** The end of `apply`. */
  finish(effect: GraphEffect): Replacement[] {
    for (const head of this.#forgotten) effect.note(this.#forget(head));
    this.#forgotten.clear();
    return effect.replacements();
  }

  /** Heads of permission links whose owner must be looked up. Each is returned once: a head that does not exist may come as a row later. */
  drainUnknownHeads(): string[] {
    const heads = [...this.#unknown].filter((head) => !this.row("owner", head));
    this.#unknown.clear();
    return heads;
  }

  /** The owner of a head that was looked up in `table`. */
  setOwner(table: TableName, row: GraphRows["owner"]): Replacement {
    const replaced = this.row("owner", row.uuid) ?? null;
    this.#keys.set(`${table}:${row.id}`, row.uuid);
    this.#put("owner", row.uuid, row);
    return { kind: "owner", uuid: row.uuid, row, replaced };
  }

  *#changesOf(change: RowChange): Generator<Replacement | null> {
    const { table } = change;
    if (change.op === "truncate") {
      yield* this.#truncate(table);
      return;
    }
    const uuid = change.row?.uuid;
    const known = this.uuidOf(table, change.id);
    if (change.op === "delete") yield* this.#forgetKey(table, change.id);
    else {
      if (change.formerId !== undefined) yield* this.#forgetKey(table, change.formerId);
      if (known !== undefined && known !== uuid) yield* this.#forgetKey(table, change.id);
      if (typeof uuid !== "string" || !isUuid(uuid)) return this.#context.unreadable(table, "uuid");
      yield this.#ownerChange(change, uuid);
      yield this.#graphChange(change, uuid);
      if (table === "users" && known !== undefined && known !== uuid) yield* this.#renameUser(known, uuid);
    }
  }

  *#truncate(table: TableName): Generator<Replacement | null> {
    for (const [key, uuid] of this.#keys) {
      if (!key.startsWith(`${table}:`)) continue;
      this.#keys.delete(key);
      for (const kind of kindsOf(table)) yield this.#set(kind, uuid, null);
    }
  }

  /** No row has this key any more: its graph row is removed, unless another row has its uuid by now. */
  *#forgetKey(table: TableName, key: RowId): Generator<Replacement | null> {
    const uuid = this.uuidOf(table, key);
    if (uuid === undefined) return;
    this.#keys.delete(`${table}:${key}`);
    for (const kind of kindsOf(table)) {
      if (KEY_OF[table] === "uuid" || this.row(kind, uuid)?.id === key) yield this.#set(kind, uuid, null);
    }
  }

  /** Tokens refer to their user by number, so they are now the new uuid's. */
  *#renameUser(before: string, user_uuid: string): Generator<Replacement | null> {
    for (const [uuid, row] of this.#rows.get("token") ?? []) {
      const token = row as GraphRows["token"];
      if (token.user_uuid === before) yield this.#set("token", uuid, { ...token, user_uuid });
    }
  }

  #graphChange(change: Written, uuid: string): Replacement | null {
    const { table, id } = change;
    const kind = KIND_OF_TABLE[table];
    if (!kind || kind === "owner") return null;
    // The conversion table is keyed by kind, so it returns a row of that kind. TypeScript cannot follow that through a union.
    const convert = CONVERT[kind] as (...args: unknown[]) => Omit<GraphRows[GraphKind], "id" | "uuid"> | null;
    const values = convert(change.row, this.row(kind, uuid), this.#context);
    const row = values && ({ id, uuid, ...values } as GraphRows[GraphKind]);
    if (row) this.#keys.set(`${table}:${id}`, uuid);
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

  /** Removes the owner row of an object whose last permission link is gone. */
  #forget(head: string): Replacement | null {
    return this.#headCount.has(head) ? null : this.#set("owner", head, null);
  }

  /** The new owner of an object that is the head of a permission link. */
  #ownerChange({ table, id, row }: Written, uuid: string): Replacement | null {
    if (table === "users" || table === "groups" || table === "links" || !this.#headCount.has(uuid)) return null;
    if (row.owner_uuid === undefined) return null;
    const owner_uuid = textOrNull(row.owner_uuid);
    this.#keys.set(`${table}:${id}`, uuid);
    return this.#set("owner", uuid, owner_uuid === null ? null : { id, uuid, owner_uuid });
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

/** What a commit changes in the graph, each row once: its value after and before the commit. */
export class GraphEffect {
  readonly #changes = new Map<string, Replacement>();

  note(change: Replacement | null): void {
    if (!change) return;
    const key = `${change.kind}:${change.uuid}`;
    const before = this.#changes.get(key);
    this.#changes.set(key, before ? ({ ...change, replaced: before.replaced } as Replacement) : change);
  }

  replacements(): Replacement[] {
    return [...this.#changes.values()];
  }
}

/** The kinds of graph rows that a row of the table may have. */
function kindsOf(table: TableName): GraphKind[] {
  const kind = KIND_OF_TABLE[table];
  return kind === undefined ? ["owner"] : [kind, "owner"];
}

function same(a: object, b: object): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
