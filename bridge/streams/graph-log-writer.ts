/** Writes GRAPHLOG: what each commit of GRAPH replaces, just before the commit itself; and the position up to which all streams hold everything. */
import { formatLsn, type Lsn, laterLsn } from "../../core/lsn.ts";
import type { Replacement } from "../../core/rows.ts";
import type { Subjects } from "../../core/subjects.ts";
import { type GraphLogEntry, partsOf, type StoredPosition, UP_TO_HEADER } from "./graph-log.ts";
import type { HandlingFailure } from "./handling-failure.ts";
import type { FencedPublisher } from "./publisher.ts";

/** A commit waits while so many messages are not acknowledged. */
const MAX_PENDING = 256;

export type GraphLogOptions = {
  epoch: number;
  /** GRAPH holds nothing of a later commit. */
  upTo: Lsn;
  /** The graph begins with the first commit that is written, as this snapshot shows it: nothing older can be put back. */
  floor: string | null;
};

export class GraphLogWriter {
  readonly #publisher: FencedPublisher;
  readonly #subjects: Subjects;
  readonly #epoch: number;
  #upTo: Lsn;
  #floor: string | null;

  constructor(publisher: FencedPublisher, subjects: Subjects, { epoch, upTo, floor }: GraphLogOptions) {
    this.#publisher = publisher;
    this.#subjects = subjects;
    this.#epoch = epoch;
    this.#upTo = upTo;
    this.#floor = floor;
  }

  /** GRAPH holds nothing of a later commit. */
  get upTo(): Lsn {
    return this.#upTo;
  }

  /**
   * What the commit at `lsn`, which ends at sequence `commit` of GRAPH, replaces. Resolves with the sequence of the last message as soon as
   * there is room; `onStored` is called once that message is acknowledged.
   */
  async write(
    changes: readonly Replacement[],
    lsn: Lsn,
    commit: number,
    onStored: () => void = () => {},
  ): Promise<number> {
    const floor = this.#floor;
    this.#floor = null;
    const entry = { epoch: this.#epoch, lsn: formatLsn(lsn), commit };
    if (floor !== null) {
      this.#upTo = lsn;
      return this.#push(this.#subjects.graphLogCommit, { ...entry, replaced: [], floor }, onStored);
    }
    this.#upTo = laterLsn(this.#upTo, lsn);
    const parts = partsOf(changes);
    let last = 0;
    for (const [index, replaced] of parts.entries()) {
      const isLast = index === parts.length - 1;
      last = await this.#push(this.#subjects.graphLogCommit, { ...entry, replaced }, isLast ? onStored : undefined);
    }
    return last;
  }

  /** All streams hold everything up to here. */
  async publishStored(stored: Lsn, onStored: () => void = () => {}): Promise<void> {
    await this.#push(this.#subjects.graphLogStored, { lsn: formatLsn(stored) }, onStored);
  }

  /** Handling a commit failed; resolves once the message is acknowledged. */
  async publishFailure(failure: HandlingFailure): Promise<void> {
    await this.#push(this.#subjects.graphLogTrouble, failure);
    await this.#publisher.acknowledged();
  }

  async #push(
    subject: string,
    body: GraphLogEntry | StoredPosition | HandlingFailure,
    onStored = () => {},
  ): Promise<number> {
    await this.#publisher.acknowledged(MAX_PENDING);
    const headers = { [UP_TO_HEADER]: formatLsn(this.#upTo) };
    return this.#publisher.push([{ subject, headers, body: JSON.stringify(body) }], onStored);
  }
}
