/**
 * Releases routed commits to RECORDS, in order: each only once its graph changes stand in GRAPH, the removals it stands behind have
 * been enforced, and nobody has changed what PostgreSQL decodes (`CatalogCheck`). The graph passes meanwhile, also behind a huge commit; what
 * waits here is bounded.
 */
import { Barrier } from "../../core/barrier/bridge-side.ts";
import { formatLsn, type Lsn, parseLsn } from "../../core/lsn.ts";
import { atLeast, type Revision } from "../../core/revision.ts";
import { SpillQueue } from "../spill/spill-queue.ts";
import { areCopies } from "./commit-units.ts";
import type { FencedPublisher, Message } from "./publisher.ts";

/** A commit, or a part of a large one: what shall appear together. */
export type RecordsUnit = {
  lsn: Lsn;
  /** The graph by which it was routed. */
  revision: Revision;
  /** The removal that must be enforced first. */
  behind: Revision;
  messages: Message[];
};

/** Units that wait are kept in memory up to so many bytes, then in a file; when that is full, replication waits too. */
const MEMORY_BYTES = 32 * 1024 * 1024;
const FILE_BYTES = 4 * 1024 ** 3;
/** Messages handed over to the publisher and not acknowledged yet, up to which more are handed over. */
const MAX_PENDING = 20_000;
/** What a message takes besides its texts. */
const MESSAGE_BYTES = 800;

/** A unit as it can be written as JSON. */
type Waiting = Omit<RecordsUnit, "lsn"> & { lsn: string };

export class RecordsWriter {
  readonly barrier = new Barrier();
  readonly #publisher: FencedPublisher;
  readonly #graphStored: () => Revision;
  readonly #isVouchedFor: (lsn: Lsn) => boolean;
  readonly #onStored: (lsn: Lsn) => void;
  readonly #waiting = new SpillQueue<Waiting>({ limit: MEMORY_BYTES });
  #idle: (() => void)[] = [];

  /**
   * @param graphStored up to which revision GRAPH is acknowledged
   * @param isVouchedFor nothing can have been left out of what was committed up to this position
   * @param onStored a unit of the commit at `lsn` is acknowledged
   */
  constructor(
    publisher: FencedPublisher,
    graphStored: () => Revision,
    isVouchedFor: (lsn: Lsn) => boolean,
    onStored: (lsn: Lsn) => void,
  ) {
    this.#publisher = publisher;
    this.#graphStored = graphStored;
    this.#isVouchedFor = isVouchedFor;
    this.#onStored = onStored;
  }

  /** Takes a unit; waits while too much waits. @throws spill.failed */
  async enqueue({ lsn, ...unit }: RecordsUnit): Promise<void> {
    this.#waiting.push({ ...unit, lsn: formatLsn(lsn) }, bytesOf(unit.messages));
    // Asked at once, whatever else it waits for: one look serves all that wait.
    this.#isVouchedFor(lsn);
    this.release();
    while (this.#waiting.bytes > FILE_BYTES) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Look again: a barrier may have opened, GRAPH or RECORDS may have acknowledged. */
  release(): void {
    for (;;) {
      const unit = this.#publisher.pending < MAX_PENDING ? this.#waiting.peek() : undefined;
      if (!unit || !this.barrier.released(unit.behind) || !atLeast(this.#graphStored(), unit.revision)) break;
      if (!this.#isVouchedFor(parseLsn(unit.lsn))) break;
      this.#waiting.shift();
      this.#push(unit);
    }
    if (this.#waiting.bytes <= FILE_BYTES) for (const resolve of this.#idle.splice(0)) resolve();
  }

  close(): void {
    this.#waiting.close();
  }

  #push({ messages, lsn }: Waiting): void {
    const alone = areCopies(messages) ? messages.slice(0, -1) : [];
    for (const message of alone) this.#publisher.push([message]);
    this.#publisher.push(messages.slice(alone.length), () => {
      this.#onStored(parseLsn(lsn));
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
