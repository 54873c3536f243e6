/**
 * The entries of GRAPHLOG: the values that each commit of GRAPH replaced. By them the graph is put back to its state at the time at which a
 * repeated commit was first routed. Pure.
 */

import { type Lsn, parseLsn } from "../../core/lsn.ts";
import type { GraphChange, GraphRows, Replacement } from "../../core/rows.ts";
import { isGraphRow } from "../../core/wire/graph-entry.ts";

/** A change without its new value, which GRAPH has. An owner row keeps it: it was looked up, and a lookup may find another one today. */
export type Replaced = Pick<Replacement, "kind" | "uuid" | "replaced"> & { row?: GraphRows["owner"] };

/** On every message of GRAPH: the sequence of the entry in GRAPHLOG that holds what it replaced. */
export const GRAPH_LOG_HEADER = "Arvados-Graph-Log";
/** On every message of GRAPHLOG but a leader's: GRAPH holds nothing of a later commit so far. It does not decrease within an epoch. */
export const UP_TO_HEADER = "Arvados-Up-To";

/** Body of `graphlog.commit`; a large commit has several, and its messages in GRAPH name the last one. */
export type GraphLogEntry = {
  epoch: number;
  /** The commit's own position. */
  lsn: string;
  /** Sequence in GRAPH of the entry that ends the commit. */
  commit: number;
  replaced: Replaced[];
  /**
   * The graph begins here, as read from the database in this snapshot (`xmin:xmax:xip`): no earlier graph can be put back, and commits in the
   * snapshot were routed by it.
   */
  floor?: string;
};

/** Body of `graphlog.stored`: all streams hold everything up to here. It is stored before the position is confirmed. */
export type StoredPosition = { lsn: string };

/** The entries to put back, in the order of the log; and the snapshot that this leads to, where the graph began with one. */
export type Undo = { entries: GraphLogEntry[]; floor: string | null };

/** Bytes of replaced values in one message. With the rest of the message they fit into what nats-server accepts. */
const PART_BYTES = 512 * 1024;

/** Splits what a commit replaced into at least one part; each part fits into a message. */
export function partsOf(changes: readonly Replacement[]): Replaced[][] {
  const parts: Replaced[][] = [[]];
  let bytes = 0;
  for (const { kind, uuid, row, replaced } of changes) {
    const value: Replaced = { kind, uuid, replaced, ...(kind === "owner" && row ? { row } : {}) };
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

/** Puts back what the entries replaced in `rows` (by `kind:uuid`), the last entry first. */
export function rollBack(rows: Map<string, GraphChange>, entries: readonly GraphLogEntry[]): void {
  for (const { replaced: values } of entries.toReversed()) {
    for (const { kind, uuid, replaced: row } of values) rows.set(`${kind}:${uuid}`, { kind, uuid, row } as GraphChange);
  }
}

/** The newest message of GRAPH but a leader's; `log`: the sequence in GRAPHLOG of what it replaced. */
export type NewestOfGraph = { sequence: number; epoch: number; lsn: Lsn; log: number | null };

/**
 * Reads GRAPHLOG in sequence, from a message at or before the last one that is not newer than `target`, and collects what must be put back so
 * that nothing of a later commit is left.
 */
export class GraphLogReader {
  readonly #target: Lsn;
  #next: number;
  /** Everything that is newer than the target comes after this sequence; null = not found, or a message is missing since. */
  #since: number | null = null;
  #undo: Undo = { entries: [], floor: null };
  #upTo: Lsn = 0n;

  constructor(from: number, target: Lsn) {
    this.#next = from;
    this.#target = target;
  }

  /** Of the last message that has it. */
  get upTo(): Lsn {
    return this.#upTo;
  }

  /** @param upTo null on a leader's entry */
  add(sequence: number, upTo: Lsn | null, entry: GraphLogEntry | null): void {
    if (sequence !== this.#next) this.#since = null;
    this.#next = sequence + 1;
    if (upTo === null) return;
    this.#upTo = upTo;
    const isOld = upTo <= this.#target;
    if (isOld || entry?.floor !== undefined) {
      this.#undo = { entries: [], floor: isOld ? null : (entry?.floor ?? null) };
      this.#since = sequence;
    } else if (entry) this.#undo.entries.push(entry);
  }

  /**
   * Null: the log does not reach far enough, or has a gap.
   * @param named the entry of the log that the newest message of GRAPH names
   * @param ends sequences of the stream
   */
  undo(newest: NewestOfGraph, named: GraphLogEntry | null, ends: { first: number; last: number }): Undo | null {
    if (newest.log === null) return null;
    const isNamed = named !== null && named.epoch === newest.epoch && named.commit >= newest.sequence;
    if (newest.lsn <= this.#target) return isNamed || newest.log < ends.first ? { entries: [], floor: null } : null;
    const reaches = this.#since !== null && this.#since <= newest.log && this.#next > ends.last;
    return isNamed && reaches ? this.#undo : null;
  }
}

/**
 * The entry in a message of GRAPHLOG; null for a body that is no entry, which another version may have written. It counts as missing, because
 * without it nothing can be put back.
 */
export function parseGraphLogEntry(body: string): GraphLogEntry | null {
  try {
    const entry = JSON.parse(body) as Partial<GraphLogEntry> | null;
    const { epoch, lsn, commit, replaced, floor } = entry ?? {};
    const isPlaced = Number.isSafeInteger(epoch) && Number.isSafeInteger(commit) && typeof lsn === "string";
    const isEntry = isPlaced && Array.isArray(replaced) && replaced.every(isReplaced);
    return isEntry && (floor === undefined || typeof floor === "string") ? (entry as GraphLogEntry) : null;
  } catch {
    return null;
  }
}

function isReplaced(value: unknown): boolean {
  const { kind, uuid, replaced, row } = (value ?? {}) as Partial<Replaced>;
  if (typeof kind !== "string" || typeof uuid !== "string") return false;
  if (row !== undefined && !isGraphRow("owner", uuid, row)) return false;
  return replaced === null || isGraphRow(kind, uuid, replaced);
}

export function upToOf(header: { get(name: string): string } | undefined): Lsn | null {
  const text = header?.get(UP_TO_HEADER);
  return text ? parseLsn(text) : null;
}
