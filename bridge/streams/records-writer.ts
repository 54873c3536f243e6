/**
 * Releases routed commits to RECORDS, in order. A commit waits until its graph changes are in GRAPH, the removals before it are enforced, and
 * the catalogs were checked after it (`CatalogCheck`). The graph does not wait for that, and what waits here is bounded.
 */
import type { Barrier } from "../../core/barrier/bridge-side.ts";
import { formatLsn, type Lsn, parseLsn } from "../../core/lsn.ts";
import { atLeast, type Revision } from "../../core/revision.ts";
import { SpillQueue } from "../spill/spill-queue.ts";
import { areCopies } from "./commit-units.ts";
import type { FencedPublisher, Message } from "./publisher.ts";

/** A commit, or a part of a large one: messages that must appear together. */
export type RecordsUnit = {
  lsn: Lsn;
  /** The graph that it was routed by. */
  revision: Revision;
  /** The removal that must be enforced first. */
  behind: Revision;
  messages: Message[];
};

/** Waiting units are kept in memory up to so many bytes, then in a file up to so many; then replication waits too. */
const MEMORY_BYTES = 32 * 1024 * 1024;
const FILE_BYTES = 4 * 1024 ** 3;
/** No more messages are released while so many are not acknowledged. */
const MAX_PENDING = 20_000;
/** Memory of a message besides its texts. */
const MESSAGE_BYTES = 800;

/** A unit in a form that can be written as JSON. */
type WaitingUnit = Omit<RecordsUnit, "lsn"> & { lsn: string };

export type RecordsWriterParts = {
  publisher: FencedPublisher;
  barrier: Pick<Barrier, "released">;
  /** Up to which revision GRAPH is acknowledged. */
  graphStored: () => Revision;
  /** Nothing that was committed up to this position can be missing. */
  isChecked: (lsn: Lsn) => boolean;
  /** A unit of the commit at `lsn` is acknowledged. */
  onStored: (lsn: Lsn) => void;
};

export class RecordsWriter {
  readonly #parts: RecordsWriterParts;
  readonly #waiting = new SpillQueue<WaitingUnit>({ limit: MEMORY_BYTES });
  #idle: (() => void)[] = [];

  constructor(parts: RecordsWriterParts) {
    this.#parts = parts;
  }

  /** Resolves when there is room for the next unit. @throws spill.failed */
  async enqueue({ lsn, ...unit }: RecordsUnit): Promise<void> {
    this.#waiting.push({ ...unit, lsn: formatLsn(lsn) }, bytesOf(unit.messages));
    // Asked at once, whatever else the unit waits for: one check of the catalogs serves all that wait.
    this.#parts.isChecked(lsn);
    this.release();
    while (this.#waiting.bytes > FILE_BYTES) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Publishes what no longer has to wait: a cut was heard, the catalogs were checked, or GRAPH or RECORDS has acknowledged. */
  release(): void {
    const { publisher, barrier, graphStored, isChecked } = this.#parts;
    for (;;) {
      const unit = publisher.pending < MAX_PENDING ? this.#waiting.peek() : undefined;
      if (!unit || !barrier.released(unit.behind) || !atLeast(graphStored(), unit.revision)) break;
      if (!isChecked(parseLsn(unit.lsn))) break;
      this.#waiting.shift();
      this.#push(unit);
    }
    if (this.#waiting.bytes <= FILE_BYTES) for (const resolve of this.#idle.splice(0)) resolve();
  }

  close(): void {
    this.#waiting.close();
  }

  #push({ messages, lsn }: WaitingUnit): void {
    const { publisher, onStored } = this.#parts;
    const alone = areCopies(messages) ? messages.slice(0, -1) : [];
    for (const message of alone) publisher.push([message]);
    publisher.push(messages.slice(alone.length), () => {
      onStored(parseLsn(lsn));
      this.release();
    });
  }
}

function bytesOf(messages: readonly Message[]): number {
  let bytes = 0;
  for (const { subject, body } of messages) {
    bytes += MESSAGE_BYTES + (subject.length + (typeof body === "string" ? body.length : 0));
  }
  return bytes;
}
