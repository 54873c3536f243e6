/** Writes the permission graph into GRAPH: rows, then the entry that ends the commit. Its sequence is the commit's revision. */

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

/** Messages under way before a commit waits. */
const MAX_PENDING = 10_000;
/** A commit of more rows goes as a batch, which costs some milliseconds once and less for each message. */
const MAX_PLAIN = 16;

export class GraphWriter {
  readonly #publisher: FencedPublisher;
  readonly #subjects: Subjects;
  readonly #log: GraphLogWriter;
  readonly #place: Pick<CommitEntry, "epoch" | "system">;
  readonly #onOver: (row: { kind: string; uuid: string }) => void;
  #revision: Revision;
  #stored: Revision = NO_REVISION;

  constructor(
    publisher: FencedPublisher,
    log: GraphLogWriter,
    subjects: Subjects,
    place: Pick<CommitEntry, "epoch" | "system">,
    /** A row was larger than any that is of use: it denies. */
    onOver: (row: { kind: string; uuid: string }) => void = () => {},
  ) {
    this.#onOver = onOver;
    this.#publisher = publisher;
    this.#log = log;
    this.#subjects = subjects;
    this.#place = place;
    this.#revision = { epoch: place.epoch, sequence: 0 };
  }

  /** Of the last commit handed over. */
  get revision(): Revision {
    return this.#revision;
  }

  /** Of the last commit that is acknowledged. */
  get stored(): Revision {
    return this.#stored;
  }

  /**
   * Resolves with the commit's revision as soon as there is room; `onStored` is called once all of it is acknowledged, `onLogged` once
   * GRAPHLOG has acknowledged what it replaces. That goes first, and is not waited for: each message here names its place there, so
   * a reader sees what is missing.
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
      [HEADER.epoch]: String(this.#place.epoch),
      [HEADER.lsn]: formatLsn(lsn),
      [GRAPH_LOG_HEADER]: String(log),
    };
    const messages = changes.map((change) => ({
      subject: this.#subjects.graph(change.kind, change.uuid),
      headers,
      body: formatGraphEntry(change),
    }));
    const entry: CommitEntry = { ...this.#place, lsn: formatLsn(lsn), time };
    messages.push({ subject: this.#subjects.graphCommit, headers, body: JSON.stringify(entry) });
    // Followers apply nothing before the entry that ends the commit, so it may come in parts, and revocations wait for no batch.
    const part = messages.length <= MAX_PLAIN ? 1 : MAX_UNIT;
    while (messages.length > part) await this.#push(messages.splice(0, part), () => {});
    let revision: Revision = NO_REVISION;
    const sequence = await this.#push(messages, () => {
      this.#stored = revision;
      onStored();
    });
    revision = { epoch: this.#place.epoch, sequence };
    this.#revision = revision;
    return revision;
  }

  async #push(messages: Message[], onStored: () => void): Promise<number> {
    await this.#publisher.acknowledged(MAX_PENDING);
    return this.#publisher.push(messages, onStored);
  }
}
