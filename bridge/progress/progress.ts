/**
 * How far a term is: which positions have been read, are in GRAPH, are in every stream, and may be forgotten by PostgreSQL. Every beat it
 * publishes that and confirms it to PostgreSQL. `term.ts` creates one for each term and connects it to the streams.
 */
import { type Lsn, laterLsn } from "../../core/lsn.ts";
import { repeat } from "./beat.ts";
import { BeatClock } from "./beat-clock.ts";
import { Confirmer } from "./confirmer.ts";
import { PositionTracker } from "./position-tracker.ts";

/** How often the stored position is published: when it has grown, and when it has not. */
const STORED_MS = 5_000;
const REPEAT_STORED_MS = 24 * 3_600_000;

/** What one beat found. */
export type Beat = {
  /** The graph is complete up to this time (UTC ms); null = not known yet. */
  time: number | null;
  /** Positions up to which PostgreSQL has written, all streams hold everything, and PostgreSQL may forget. */
  flushed: Lsn;
  stored: Lsn;
  confirmed: Lsn;
};

export type ProgressOptions = {
  /** Milliseconds after which nats-server has synced what it acknowledged. */
  syncDelay: number;
  now: () => number;
};

/** What confirms positions to PostgreSQL. */
export type Confirmation = { confirm(lsn: Lsn, ping: boolean): Promise<void> };

/** What a beat reads and publishes once commits flow. */
export type BeatParts = {
  /** Up to which position PostgreSQL's log is on disk. @throws postgres.publication_changed */
  readFlushed: () => Promise<Lsn>;
  /** All streams hold everything up to `lsn`. */
  onStored: (lsn: Lsn) => void;
  /** Stored positions before this one are not published: a restart there needs all commits up to here again. */
  publishFrom: Lsn;
  /** Resolves when the stored position is on its way; `onAcknowledged` is called once it is stored itself. */
  publishStored: (lsn: Lsn, onAcknowledged: () => void) => Promise<void>;
  /** The position up to `safe` that the next leader does not need. */
  floor: (safe: Lsn) => Lsn;
  publishBeat: (time: number | null) => void;
  onBeat: (beat: Beat) => void;
};

export class Progress {
  readonly #clock = new BeatClock();
  /** Commits under way to GRAPH. */
  readonly toGraph = new PositionTracker((lsn) => this.#clock.passed(lsn));
  /** Commits under way to any stream. */
  readonly toAll = new PositionTracker();
  readonly #confirmer: Confirmer;
  readonly #now: () => number;
  /** The last stored position that was published, and when. */
  #published = { lsn: 0n, at: 0 };

  constructor({ syncDelay, now }: ProgressOptions) {
    this.#confirmer = new Confirmer(syncDelay);
    this.#now = now;
  }

  /** Everything up to `lsn` was read and handed to the streams. */
  passed(lsn: Lsn): void {
    this.toGraph.passed(lsn);
    this.toAll.passed(lsn);
  }

  /** Until commits flow: repeats what is confirmed already, because PostgreSQL ends a silent reader. Returns what stops it. */
  keepAlive(replication: Confirmation, confirmed: Lsn, onError: (error: unknown) => void): () => void {
    return repeat(() => replication.confirm(confirmed, true), onError);
  }

  /** From now on commits flow. Returns what stops the beats. */
  startBeats(
    replication: Confirmation,
    confirmed: Lsn,
    parts: BeatParts,
    onError: (error: unknown) => void,
  ): () => void {
    return repeat(async () => {
      const time = this.#now();
      const flushed = await parts.readFlushed();
      this.#clock.sample(time, flushed);
      const stored = this.toAll.frontier;
      parts.onStored(stored);
      await this.#publishStored(stored, time, parts);
      const safe = laterLsn(parts.floor(this.#confirmer.safe(this.#now())), confirmed);
      // Also when it is the same: PostgreSQL ends a silent reader. To the ping it answers how far it has read.
      await replication.confirm(safe, true);
      parts.publishBeat(this.#clock.beat);
      parts.onBeat({ time: this.#clock.beat, flushed, stored, confirmed: safe });
    }, onError);
  }

  async #publishStored(lsn: Lsn, time: number, { publishFrom, publishStored }: BeatParts): Promise<void> {
    const interval = lsn > this.#published.lsn ? STORED_MS : REPEAT_STORED_MS;
    if (lsn < publishFrom || time - this.#published.at < interval) return;
    this.#published = { lsn, at: time };
    await publishStored(lsn, () => this.#confirmer.stored(lsn, this.#now()));
  }
}
