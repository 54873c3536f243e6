/** Writes the permission graph into GRAPH: rows, then the entry that ends the commit, whose sequence is the commit's revision. */

import { formatLsn, type Lsn } from "../../core/lsn.ts";
import { NO_REVISION, type Revision } from "../../core/revision.ts";
import type { Replacement } from "../../core/rows.ts";
import type { Subjects } from "../../core/subjects.ts";
import { type CommitEntry, formatGraphEntry } from "../../core/wire/graph-entry.ts";
import { HEADER } from "../../core/wire/wire.ts";
import { boundedChanges } from "../rows/bounded-rows.ts";
import { GRAPH_LOG_HEADER } from "./graph-log.ts";
import type { GraphLogWriter } from "./graph-log-writer.ts";
import { type FencedPublisher, MAX_UNIT, type Message } from "./publisher.ts";

/** A commit waits while so many messages are not acknowledged. */
const MAX_PENDING = 10_000;
/** A commit of more rows is sent as batches, which cost some milliseconds once and less for each message. */
const MAX_PLAIN = 16;

export class GraphWriter {
  readonly #publisher: FencedPublisher;
  readonly #subjects: Subjects;
  readonly #log: GraphLogWriter;
  readonly #origin: Pick<CommitEntry, "epoch" | "system">;
  readonly #onOver: (row: { kind: string; uuid: string }) => void;
  #revision: Revision;
  #stored: Revision = NO_REVISION;

  constructor(
    publisher: FencedPublisher,
    log: GraphLogWriter,
    subjects: Subjects,
    origin: Pick<CommitEntry, "epoch" | "system">,
    /** A row is too large for GRAPH, and grants nothing. */
    onOver: (row: { kind: string; uuid: string }) => void = () => {},
  ) {
    this.#onOver = onOver;
    this.#publisher = publisher;
    this.#log = log;
    this.#subjects = subjects;
    this.#origin = origin;
    this.#revision = { epoch: origin.epoch, sequence: 0 };
  }

  /** Of the last written commit. */
  get revision(): Revision {
    return this.#revision;
  }

  /** Of the last acknowledged commit. */
  get stored(): Revision {
    return this.#stored;
  }

  /**
   * Resolves with the commit's revision as soon as there is room. `onStored` is called once all of it is acknowledged, `onLogged` once GRAPHLOG
   * has acknowledged what it replaces. That is sent first, and nothing waits for it: each message here names its sequence there, so a reader
   * notices what is missing.
   */
  async write(
    all: readonly Replacement[],
    lsn: Lsn,
    time: number,
    onStored: () => void = () => {},
    onLogged: () => void = () => {},
  ): Promise<Revision> {
    const { changes, over } = boundedChanges(all);
    for (const { kind, uuid } of over) this.#onOver({ kind, uuid: uuid.slice(0, 64) });
    const commit = this.#publisher.promisedSequence + changes.length + 1;
    const log = await this.#log.write(changes, lsn, commit, onLogged);
    const headers = {
      [HEADER.epoch]: String(this.#origin.epoch),
      [HEADER.lsn]: formatLsn(lsn),
      [GRAPH_LOG_HEADER]: String(log),
    };
    const messages = changes.map((change) => ({
      subject: this.#subjects.graph(change.kind, change.uuid),
      headers,
      body: formatGraphEntry(change),
    }));
    const entry: CommitEntry = { ...this.#origin, lsn: formatLsn(lsn), time };
    messages.push({ subject: this.#subjects.graphCommit, headers, body: JSON.stringify(entry) });
    // Followers apply a commit only when its last entry comes, so it may be sent in parts, and a revocation waits for no batch.
    const part = messages.length <= MAX_PLAIN ? 1 : MAX_UNIT;
    while (messages.length > part) await this.#push(messages.splice(0, part), () => {});
    let revision: Revision = NO_REVISION;
    const sequence = await this.#push(messages, () => {
      this.#stored = revision;
      onStored();
    });
    revision = { epoch: this.#origin.epoch, sequence };
    this.#revision = revision;
    return revision;
  }

  async #push(messages: Message[], onStored: () => void): Promise<number> {
    await this.#publisher.acknowledged(MAX_PENDING);
    return this.#publisher.push(messages, onStored);
  }
}
