/** A permission link. Level by its name: can_read and can_login 1, can_write 2, can_manage 3, any other 0 (docs/arvados-permissions.md 2). */
export type PermissionEdge = {
  readonly uuid: string;
  readonly name: string;
  readonly tail: number;
  readonly head: number;
  readonly level: number;
};

/** The edges at one end. A long list also knows the index of each, so that one of many is removed as fast as one of few. */
class EdgeList {
  readonly edges: PermissionEdge[] = [];
  #at: Map<PermissionEdge, number> | null = null;

  add(edge: PermissionEdge): void {
    if (this.edges.length >= INDEXED) this.#at ??= new Map(this.edges.map((one, at) => [one, at]));
    this.#at?.set(edge, this.edges.length);
    this.edges.push(edge);
  }

  /** The last edge moves to the place of the removed one: the order has no meaning. */
  remove(edge: PermissionEdge): void {
    const at = this.#at === null ? this.edges.indexOf(edge) : (this.#at.get(edge) ?? -1);
    const last = this.edges.pop() as PermissionEdge;
    if (last !== edge) {
      this.edges[at] = last;
      this.#at?.set(last, at);
    }
    this.#at?.delete(edge);
  }
}

/** Shorter lists are searched. */
const INDEXED = 64;

const LEVELS: Readonly<Record<string, number>> = { can_read: 1, can_login: 1, can_write: 2, can_manage: 3 };
const NONE: readonly PermissionEdge[] = [];

export function levelOf(name: string): number {
  return Object.hasOwn(LEVELS, name) ? (LEVELS[name] as number) : 0;
}

/** Permission links by uuid, by tail and by head. Parallel links are separate: each can be deleted alone. */
export class Links {
  readonly #byUuid = new Map<string, PermissionEdge>();
  readonly #out = new Map<number, EdgeList>();
  readonly #in = new Map<number, EdgeList>();
  readonly #levelZero = new Set<PermissionEdge>();

  /** The links of unknown names. */
  get levelZero(): ReadonlySet<PermissionEdge> {
    return this.#levelZero;
  }

  get(uuid: string): PermissionEdge | undefined {
    return this.#byUuid.get(uuid);
  }

  /** All nodes that some link points at. */
  heads(): Iterable<number> {
    return this.#in.keys();
  }

  out(tail: number): readonly PermissionEdge[] {
    return this.#out.get(tail)?.edges ?? NONE;
  }

  in(head: number): readonly PermissionEdge[] {
    return this.#in.get(head)?.edges ?? NONE;
  }

  /** The highest level of the links from one node to another; 0 where there is none. */
  highest(tail: number, head: number): number {
    const [from, to] = [this.out(tail), this.in(head)];
    let highest = 0;
    for (const edge of from.length < to.length ? from : to) {
      if (edge.tail === tail && edge.head === head) highest = Math.max(highest, edge.level);
    }
    return highest;
  }

  /** A link of that uuid must not be there. */
  add(edge: PermissionEdge): void {
    this.#byUuid.set(edge.uuid, edge);
    push(this.#out, edge.tail, edge);
    push(this.#in, edge.head, edge);
    if (edge.level === 0) this.#levelZero.add(edge);
  }

  remove(edge: PermissionEdge): void {
    this.#byUuid.delete(edge.uuid);
    pull(this.#out, edge.tail, edge);
    pull(this.#in, edge.head, edge);
    this.#levelZero.delete(edge);
  }
}

function push(lists: Map<number, EdgeList>, key: number, edge: PermissionEdge): void {
  const list = lists.get(key) ?? new EdgeList();
  if (list.edges.length === 0) lists.set(key, list);
  list.add(edge);
}

function pull(lists: Map<number, EdgeList>, key: number, edge: PermissionEdge): void {
  const list = lists.get(key) as EdgeList;
  list.remove(edge);
  if (list.edges.length === 0) lists.delete(key);
}
