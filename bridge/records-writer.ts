/**
 * Publishes record events, commit by commit, each only once the removals it stands behind have been enforced.
 * The graph goes on meanwhile; what waits here is bounded, and holds replication back when it is full.
 */
import { Barrier } from "../core/barrier.ts";
import { formatLsn, type Lsn } from "../core/lsn.ts";
import { formatRevision, type Revision } from "../core/revision.ts";
import { HEADER, type RecordEvent } from "../core/wire.ts";
import type { FencedPublisher } from "./publisher.ts";

/** One commit's events with the subjects of each. */
export type RoutedCommit = {
  lsn: Lsn;
  time: number;
  revision: Revision;
  /** The removal that must be enforced first. */
  behind: Revision;
  events: { event: RecordEvent; subjects: string[] }[];
};

/** Place of the last message that RECORDS holds: commit, event within the commit, copy of the event. */
export type RecordPosition = { lsn: Lsn; ordinal: number; copy: number };

const MAX_WAITING_EVENTS = 20_000;

export class RecordsWriter {
  readonly barrier = new Barrier();
  readonly #publisher: FencedPublisher;
  readonly #epoch: number;
  readonly #stored: RecordPosition | null;
  #waiting: RoutedCommit[] = [];
  #waitingEvents = 0;
  #running = false;
  #failed: unknown = null;
  #idle: (() => void)[] = [];
  readonly #onStored: (lsn: Lsn, waiting: number) => void;
  readonly #onFailed: (error: Error) => void;

  constructor(options: {
    publisher: FencedPublisher;
    epoch: number;
    /** Events up to here are in the stream already (same epoch); null = none. */
    stored: RecordPosition | null;
    /** Everything of commits up to `lsn` is acknowledged; `waiting` events are not yet published. */
    onStored: (lsn: Lsn, waiting: number) => void;
    onFailed: (error: Error) => void;
  }) {
    this.#publisher = options.publisher;
    this.#epoch = options.epoch;
    this.#stored = options.stored;
    this.#onStored = options.onStored;
    this.#onFailed = options.onFailed;
  }

  get waitingEvents(): number {
    return this.#waitingEvents;
  }

  /** Takes a commit; waits while too much waits for the barrier. Throws what publishing met. */
  async take(commit: RoutedCommit): Promise<void> {
    if (this.#failed) throw this.#failed;
    this.#waiting.push(commit);
    this.#waitingEvents += commit.events.length;
    this.nudge();
    while (this.#waitingEvents > MAX_WAITING_EVENTS && !this.#failed) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
    if (this.#failed) throw this.#failed;
  }

  /** Look again: a barrier may have opened. */
  nudge(): void {
    if (this.#running || this.#failed) return;
    this.#running = true;
    void this.#release()
      .catch((error) => {
        this.#failed = error;
        this.#onFailed(error instanceof Error ? error : new Error(String(error)));
      })
      .finally(() => {
        this.#running = false;
        for (const resolve of this.#idle.splice(0)) resolve();
      });
  }

  async #release(): Promise<void> {
    for (;;) {
      const commit = this.#waiting[0];
      if (!commit || !this.barrier.released(commit.behind)) return;
      for (const message of this.#messages(commit)) await this.#publisher.publish(message);
      this.#waiting.shift();
      this.#waitingEvents -= commit.events.length;
      if (this.#waiting.length === 0 || !this.barrier.released(this.#waiting[0]?.behind as Revision)) {
        await this.#publisher.flush();
        this.#onStored(commit.lsn, this.#waitingEvents);
      }
      for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  *#messages(commit: RoutedCommit) {
    const lsn = formatLsn(commit.lsn);
    for (const [ordinal, { event, subjects }] of commit.events.entries()) {
      const headers = {
        [HEADER.epoch]: String(this.#epoch),
        [HEADER.lsn]: lsn,
        [HEADER.ordinal]: String(ordinal),
        [HEADER.eventId]: `${lsn}:${ordinal}`,
        [HEADER.commitTime]: new Date(commit.time).toISOString(),
        [HEADER.revision]: formatRevision(commit.revision),
      };
      const body = JSON.stringify(event);
      for (const [copy, subject] of subjects.entries()) {
        if (this.#isStored({ lsn: commit.lsn, ordinal, copy })) continue;
        yield { subject, headers: { ...headers, [HEADER.copy]: String(copy) }, body };
      }
    }
  }

  #isStored(at: RecordPosition): boolean {
    const last = this.#stored;
    if (last === null || at.lsn > last.lsn) return false;
    if (at.lsn < last.lsn || at.ordinal < last.ordinal) return true;
    return at.ordinal === last.ordinal && at.copy <= last.copy;
  }
}
