/**
 * Releases routed commits to RECORDS, in order: each only once its graph changes stand in GRAPH, the removals it stands behind have
 * been enforced, and nobody has changed what PostgreSQL decodes (`LookedBehind`). The graph goes on meanwhile; what waits here is bounded, and holds replication back when it is full.
 */
import { Barrier } from "../core/barrier.ts";
import type { Lsn } from "../core/lsn.ts";
import { atLeast, type Revision } from "../core/revision.ts";
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

const MAX_WAITING = 20_000;

export class RecordsWriter {
  readonly barrier = new Barrier();
  readonly #publisher: FencedPublisher;
  readonly #graphStored: () => Revision;
  readonly #isVouchedFor: (lsn: Lsn) => boolean;
  readonly #onStored: (lsn: Lsn) => void;
  #waiting: RecordsUnit[] = [];
  #waitingMessages = 0;
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

  get waitingMessages(): number {
    return this.#waitingMessages;
  }

  /** Takes a unit; waits while too much waits. Throws what publishing met. */
  async take(unit: RecordsUnit): Promise<void> {
    this.#waiting.push(unit);
    this.#waitingMessages += unit.messages.length;
    // Asked for each: one look serves all that wait.
    this.#isVouchedFor(unit.lsn);
    this.release();
    while (this.#waitingMessages > MAX_WAITING) await new Promise<void>((resolve) => this.#idle.push(resolve));
    await this.#publisher.settled(MAX_WAITING);
  }

  /** Look again: a barrier may have opened, or GRAPH has acknowledged. */
  release(): void {
    let count = 0;
    for (const unit of this.#waiting) {
      if (!this.barrier.released(unit.behind) || !atLeast(this.#graphStored(), unit.revision)) break;
      if (!this.#isVouchedFor(unit.lsn)) break;
      count++;
      this.#waitingMessages -= unit.messages.length;
      this.#push(unit);
    }
    if (count === 0) return;
    this.#waiting.splice(0, count);
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #push({ messages, lsn }: RecordsUnit): void {
    const alone = areCopies(messages) ? messages.slice(0, -1) : [];
    for (const message of alone) this.#publisher.push([message]);
    this.#publisher.push(messages.slice(alone.length), () => this.#onStored(lsn));
  }
}
