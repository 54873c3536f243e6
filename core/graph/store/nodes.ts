import { subjectToken } from "../../subjects.ts";
import { isGroupUuid, isUserUuid } from "../../uuid.ts";
import { UuidIndex } from "./uuid-index.ts";

/**
 * Uuids as small integers. Everything else in the graph is a column (one Int32 per node) or a set of these ids,
 * so a million nodes cost one index slot, one string and a few machine words each.
 *
 * An id lives as long as some row names its uuid; ids freed by `sweep` are given out again.
 */

const OBJECT = 0;
const USER = 1;
const GROUP = 2;

/** A uuid alone tells users and groups from objects, whether or not they have rows. */
function kindOf(uuid: string): number {
  if (isUserUuid(uuid)) return USER;
  return isGroupUuid(uuid) ? GROUP : OBJECT;
}

/** One 32-bit integer per node, growing with the table. */
export class IntColumn {
  #data: Int32Array;
  readonly #fill: number;

  constructor(capacity: number, fill: number) {
    this.#fill = fill;
    this.#data = new Int32Array(capacity).fill(fill);
  }

  get(node: number): number {
    return this.#data[node] as number;
  }

  set(node: number, value: number): void {
    this.#data[node] = value;
  }

  grow(capacity: number): void {
    const grown = new Int32Array(capacity).fill(this.#fill, this.#data.length);
    grown.set(this.#data);
    this.#data = grown;
  }
}

export class Nodes {
  /** Ids by uuid: objects, users, groups. Apart, so that the few users and groups stay close together in memory. */
  readonly #ids = [new UuidIndex(), new UuidIndex(), new UuidIndex()] as const;
  readonly #uuids: string[] = [];
  readonly #columns: IntColumn[] = [];
  #capacity = 1024;
  readonly #kind: IntColumn;
  readonly #refs: IntColumn;
  readonly #free: number[] = [];
  #unused: number[] = [];

  constructor() {
    this.#kind = this.column(OBJECT);
    this.#refs = this.column(0);
  }

  /** How many uuids are known. */
  get size(): number {
    return this.#ids.reduce((sum, ids) => sum + ids.size, 0);
  }

  /** A new column, `fill` wherever nothing was set. */
  column(fill: number): IntColumn {
    const column = new IntColumn(this.#capacity, fill);
    this.#columns.push(column);
    return column;
  }

  /** The id of a uuid, or -1 where no row names it. */
  find(uuid: string): number {
    return this.#idsOf(kindOf(uuid)).get(uuid);
  }

  /** The id of a uuid, created if there is none, and held until the matching `release`. */
  retain(uuid: string): number {
    const kind = kindOf(uuid);
    const known = this.#idsOf(kind).get(uuid);
    const node = known >= 0 ? known : this.#create(uuid, kind);
    this.#refs.set(node, this.#refs.get(node) + 1);
    return node;
  }

  release(node: number): void {
    const refs = this.#refs.get(node) - 1;
    this.#refs.set(node, refs);
    if (refs === 0) this.#unused.push(node);
  }

  /** Forgets the nodes that nothing holds any more, and names them. Never during a delta, whose "before" still refers to them. */
  sweep(): number[] {
    if (this.#unused.length === 0) return this.#unused;
    const gone: number[] = [];
    for (const node of this.#unused) {
      const uuid = this.#uuids[node] as string;
      const ids = this.#idsOf(this.#kind.get(node));
      if (this.#refs.get(node) !== 0 || ids.get(uuid) !== node) continue;
      ids.delete(uuid);
      this.#uuids[node] = "";
      this.#kind.set(node, OBJECT);
      this.#free.push(node);
      gone.push(node);
    }
    this.#unused = [];
    return gone;
  }

  uuid(node: number): string {
    return this.#uuids[node] as string;
  }

  /** The node as one token of a subject. */
  token(node: number): string {
    return subjectToken(this.#uuids[node] as string);
  }

  isUser(node: number): boolean {
    return this.#kind.get(node) === USER;
  }

  isGroup(node: number): boolean {
    return this.#kind.get(node) === GROUP;
  }

  #idsOf(kind: number): UuidIndex {
    return this.#ids[kind] as UuidIndex;
  }

  #create(uuid: string, kind: number): number {
    const node = this.#free.pop() ?? this.#uuids.length;
    if (node >= this.#capacity) {
      this.#capacity *= 2;
      for (const column of this.#columns) column.grow(this.#capacity);
    }
    this.#idsOf(kind).add(uuid, node);
    this.#uuids[node] = uuid;
    this.#kind.set(node, kind);
    return node;
  }
}
