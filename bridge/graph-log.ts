/**
 * What GRAPHLOG tells: with each commit of GRAPH the values it replaced, so that the graph can be put back to what it was when a commit
 * that must be repeated was first routed. Pure.
 */
import { type Lsn, parseLsn } from "../core/lsn.ts";
import type { GraphChange, GraphRows } from "../core/rows.ts";

/** A change and what stood there before; null = nothing. */
export type Replacement = GraphChange & { replaced: GraphChange["row"] };

/** On every message of GRAPH: the sequence in GRAPHLOG of the entry that holds what it replaced. */
export const GRAPH_LOG_HEADER = "Arvados-Graph-Log";
/** On every message of GRAPHLOG but a leader's: nothing in GRAPH up to here is of a later commit. It never falls within an epoch. */
export const UP_TO_HEADER = "Arvados-Up-To";

/** Body of `graphlog.commit`; a large commit has several. */
export type GraphLogEntry = {
  epoch: number;
  /** The commit's own position. */
  lsn: string;
  /** Sequence in GRAPH of the entry that ends the commit. */
  commit: number;
  replaced: GraphChange[];
  /**
   * The graph begins here, as read from the database in this snapshot (`xmin:xmax:xip`): nothing before it can be had back, and what
   * the snapshot contains was routed by it.
   */
  floor?: string;
};

/** Body of `graphlog.stored`: all streams hold everything up to here. Said before PostgreSQL is told. */
export type StoredPosition = { lsn: string };

/** Owners of heads as the commits left them, by the commits' positions. */
export type OwnersByCommit = Map<string, GraphRows["owner"][]>;

/** Bytes of replaced values in one message: what stands around them fits into what nats-server takes at the most. */
const PART_BYTES = 512 * 1024;

/** Cuts what a commit replaced into parts that fit into a message each; at least one. */
export function partsOf(changes: readonly Replacement[]): GraphChange[][] {
  const parts: GraphChange[][] = [[]];
  let bytes = 0;
  for (const { kind, uuid, replaced: row } of changes) {
    const value = { kind, uuid, row } as GraphChange;
    const size = Buffer.byteLength(JSON.stringify(value)) + 1;
    if (bytes + size > PART_BYTES && bytes > 0) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(value);
    bytes += size;
  }
  return parts;
}

/**
 * Puts back, in `rows` (by `kind:uuid`), what the entries replaced, the last one first. Returns the owners that each of these commits
 * had set: a head's owner is looked up in the database, which today may say something else.
 */
export function rollBack(rows: Map<string, GraphChange>, undo: readonly GraphLogEntry[]): OwnersByCommit {
  const owners: OwnersByCommit = new Map();
  for (const { lsn, replaced } of undo.toReversed()) {
    for (const value of replaced.toReversed()) {
      const key = `${value.kind}:${value.uuid}`;
      const undone = rows.get(key);
      if (undone?.kind === "owner" && undone.row) owners.set(lsn, [...(owners.get(lsn) ?? []), undone.row]);
      rows.set(key, value);
    }
  }
  return owners;
}

/** The newest message of GRAPH that is no leader's, and where it says that the values it replaced stand. */
export type NewestOfGraph = { sequence: number; epoch: number; lsn: Lsn; log: number | null };

/**
 * Follows GRAPHLOG in sequence, from a message at or before the last one that is not newer than `target`, and keeps what must be put
 * back so that nothing of a later commit is left.
 */
export class GraphLogTail {
  readonly #target: Lsn;
  readonly #newest: NewestOfGraph | null;
  #next: number;
  #hasHole = false;
  /** An entry was seen behind which everything that is newer than the target stands; or the graph begins here. */
  #reaches = false;
  #hasNewest = false;
  #undo: GraphLogEntry[] = [];
  #floor: string | null = null;
  #upTo: Lsn = 0n;

  constructor(from: number, target: Lsn, newest: NewestOfGraph | null) {
    this.#next = from;
    this.#target = target;
    this.#newest = newest;
  }

  get upTo(): Lsn {
    return this.#upTo;
  }

  /** The snapshot that the graph begins with, where the roll-back ends at one. */
  get floor(): string | null {
    return this.#floor;
  }

  /** @param upTo null on a leader's entry */
  take(sequence: number, upTo: Lsn | null, entry: GraphLogEntry | null): void {
    if (sequence !== this.#next) this.#hasHole = true;
    this.#next = sequence + 1;
    if (upTo !== null) {
      this.#upTo = upTo;
      const isOld = upTo <= this.#target;
      if (isOld || entry?.floor !== undefined) {
        this.#undo = [];
        this.#floor = isOld ? null : (entry?.floor ?? null);
        this.#hasHole = false;
        this.#reaches = true;
      } else if (entry) this.#undo.push(entry);
    }
    const newest = this.#newest;
    if (newest?.log === sequence) {
      this.#hasNewest = entry !== null && entry.epoch === newest.epoch && entry.commit >= newest.sequence;
    }
  }

  /**
   * What must be put back, in the order of the log; null = the log cannot tell.
   * @param first,last sequences of the stream
   */
  undo({ first, last }: { first: number; last: number }): GraphLogEntry[] | null {
    const newest = this.#newest;
    if (newest === null || newest.log === null || this.#next <= last || this.#hasHole) return null;
    // Its entry has gone with age: nothing is to be put back if nothing in GRAPH is newer than the target.
    if (newest.log < first) return newest.lsn <= this.#target ? this.#undo : null;
    return this.#hasNewest && this.#reaches ? this.#undo : null;
  }
}

export function upToOf(header: { get(name: string): string } | undefined): Lsn | null {
  const text = header?.get(UP_TO_HEADER);
  return text ? parseLsn(text) : null;
}
