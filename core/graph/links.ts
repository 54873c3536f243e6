/** A permission link. Level by its name: can_read and can_login 1, can_write 2, can_manage 3, any other 0 (facts 2). */
export type Edge = {
  readonly uuid: string;
  readonly name: string;
  readonly tail: number;
  readonly head: number;
  readonly level: number;
};

const LEVELS: Readonly<Record<string, number>> = { can_read: 1, can_login: 1, can_write: 2, can_manage: 3 };
const NONE: readonly Edge[] = [];

export function levelOf(name: string): number {
  return Object.hasOwn(LEVELS, name) ? (LEVELS[name] as number) : 0;
}

/** Permission links by uuid, by tail and by head. Parallel ones are kept apart: each goes by itself. */
export class Links {
  readonly #byUuid = new Map<string, Edge>();
  readonly #out = new Map<number, Edge[]>();
  readonly #in = new Map<number, Edge[]>();
  readonly #levelZero = new Set<Edge>();

  /** The links of unknown names. */
  get levelZero(): ReadonlySet<Edge> {
    return this.#levelZero;
  }

  get(uuid: string): Edge | undefined {
    return this.#byUuid.get(uuid);
  }

  out(tail: number): readonly Edge[] {
    return this.#out.get(tail) ?? NONE;
  }

  in(head: number): readonly Edge[] {
    return this.#in.get(head) ?? NONE;
  }

  /** A link of that uuid must not be there. */
  add(edge: Edge): void {
    this.#byUuid.set(edge.uuid, edge);
    push(this.#out, edge.tail, edge);
    push(this.#in, edge.head, edge);
    if (edge.level === 0) this.#levelZero.add(edge);
  }

  remove(edge: Edge): void {
    this.#byUuid.delete(edge.uuid);
    pull(this.#out, edge.tail, edge);
    pull(this.#in, edge.head, edge);
    this.#levelZero.delete(edge);
  }
}

function push(lists: Map<number, Edge[]>, key: number, edge: Edge): void {
  const list = lists.get(key);
  if (list) list.push(edge);
  else lists.set(key, [edge]);
}

/** The last takes the place of the one that goes: order means nothing here. */
function pull(lists: Map<number, Edge[]>, key: number, edge: Edge): void {
  const list = lists.get(key) ?? [];
  const at = list.indexOf(edge);
  const last = list.pop();
  if (last !== undefined && last !== edge && at >= 0) list[at] = last;
  if (list.length === 0) lists.delete(key);
}
