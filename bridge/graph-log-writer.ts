/** Writes GRAPHLOG: what each commit of GRAPH replaces, just before the commit itself, and up to where everything is stored. */
import { formatLsn, type Lsn, laterLsn } from "../core/lsn.ts";
import type { Subjects } from "../core/subjects.ts";
import { type GraphLogEntry, partsOf, type Replacement, type StoredPosition, UP_TO_HEADER } from "./graph-log.ts";
import { type FencedPublisher, MAX_UNIT, type Message } from "./publisher.ts";

/** Messages under way before a commit waits. */
const MAX_PENDING = 1_000;

export type GraphLogOptions = {
  epoch: number;
  /** Nothing in GRAPH is of a later commit. */
  upTo: Lsn;
  /** The graph begins with the first commit that is written, as read in this snapshot: it replaces nothing that could be had back. */
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

  /** Nothing in GRAPH is of a commit behind this one. */
  get upTo(): Lsn {
    return this.#upTo;
  }

  /**
   * What the commit at `lsn`, which ends at sequence `commit` of GRAPH, replaces. Resolves with the sequence of its last message as
   * soon as there is room.
   */
  async write(
    changes: readonly Replacement[],
    lsn: Lsn,
    commit: number,
    onStored: () => void = () => {},
  ): Promise<number> {
    const floor = this.#floor;
    this.#floor = null;
    this.#upTo = floor === null ? laterLsn(this.#upTo, lsn) : lsn;
    const entry: Omit<GraphLogEntry, "replaced"> = { epoch: this.#epoch, lsn: formatLsn(lsn), commit };
    const bodies: GraphLogEntry[] =
      floor === null
        ? partsOf(changes).map((replaced) => ({ ...entry, replaced }))
        : [{ ...entry, replaced: [], floor }];
    const messages = bodies.map((body) => this.#message(this.#subjects.graphLogCommit, body));
    while (messages.length > MAX_UNIT) await this.#push(messages.splice(0, MAX_UNIT), () => {});
    return this.#push(messages, onStored);
  }

  /** All streams hold everything up to here. */
  async say(stored: Lsn, onStored: () => void = () => {}): Promise<void> {
    const body: StoredPosition = { lsn: formatLsn(stored) };
    await this.#push([this.#message(this.#subjects.graphLogStored, body)], onStored);
  }

  #message(subject: string, body: GraphLogEntry | StoredPosition): Message {
    return { subject, headers: { [UP_TO_HEADER]: formatLsn(this.#upTo) }, body: JSON.stringify(body) };
  }

  async #push(messages: Message[], onStored: () => void): Promise<number> {
    await this.#publisher.settled(MAX_PENDING);
    return this.#publisher.push(messages, onStored);
  }
}
