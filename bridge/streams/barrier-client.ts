/**
 * The bridge's side of the barrier on the wire. It publishes `mark` in BARRIER, and counts a mark as enforced when it receives a `cut` of that
 * mark or a later one, by their sequences in the stream. A lost cut is read from the stream, a lost mark is published again. `term.ts` creates
 * one for each term.
 */
import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection, Subscription } from "@nats-io/nats-core";
import type { Barrier } from "../../core/barrier/bridge-side.ts";
import { barrierSubject, formatBarrierEntry, parseBarrierEntry } from "../../core/barrier/entry.ts";
import { atLeast, type Revision } from "../../core/revision.ts";
import type { Subjects } from "../../core/subjects.ts";

export type BarrierClientParts = {
  nc: NatsConnection;
  js: JetStreamClient;
  jsm: JetStreamManager;
  subjects: Subjects;
  barrier: Barrier;
  /** The removal at this revision is enforced. */
  onCut: (revision: Revision) => void;
};

const READ_MS = 250;
/** A mark that is not enforced after so long may be lost, because BARRIER was rolled back. */
const REPEAT_MS = 5_000;
const PUBLISH_TIMEOUT_MS = 1_000;
const STREAM = "BARRIER";

type PublishedMark = { revision: Revision; sequence: number; at: number };

export class BarrierClient {
  readonly #parts: BarrierClientParts;
  readonly #subscription: Subscription;
  readonly #timer: NodeJS.Timeout;
  /** Marks that are in BARRIER and not enforced, oldest first. */
  #published: PublishedMark[] = [];
  /** The last cut that was received while our mark was on its way. An older cut may be of a BARRIER that was rolled back since. */
  #lastCut = 0;
  #publishing = false;

  constructor(parts: BarrierClientParts) {
    this.#parts = parts;
    this.#subscription = parts.nc.subscribe(parts.subjects.barrierCut, {
      callback: (error, message) => {
        if (!error) this.#onEntry(message.string());
      },
    });
    this.#timer = setInterval(() => void this.#readCut().catch(() => undefined), READ_MS);
  }

  /** A removal is in GRAPH at `revision`: records from there on are not released before it is enforced. */
  mark(revision: Revision): void {
    this.#parts.barrier.mark(revision);
    void this.#publish();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#subscription.unsubscribe();
  }

  /** Publishes the highest open mark. Marks that come meanwhile are published together afterwards. */
  async #publish(again = false): Promise<void> {
    const { js, subjects, barrier } = this.#parts;
    const revision = barrier.open;
    if (this.#publishing || !revision) return;
    if (!again && this.#published.some((mark) => atLeast(mark.revision, revision))) return;
    this.#publishing = true;
    this.#lastCut = 0;
    try {
      const entry = { kind: "mark", revision } as const;
      const options = { timeout: PUBLISH_TIMEOUT_MS };
      const { seq } = await js.publish(barrierSubject(subjects, entry), formatBarrierEntry(entry), options);
      this.#published.push({ revision, sequence: seq, at: performance.now() });
      this.#cutUpTo(this.#lastCut);
    } catch {
      // Not acknowledged: the next round publishes it again.
      return;
    } finally {
      this.#publishing = false;
    }
    void this.#publish();
  }

  #onEntry(body: string): void {
    const entry = parseBarrierEntry(body);
    if (entry?.kind !== "cut") return;
    this.#lastCut = entry.mark;
    this.#cutUpTo(entry.mark);
  }

  #cutUpTo(sequence: number): void {
    const enforced = this.#published.filter((mark) => mark.sequence <= sequence);
    if (enforced.length === 0) return;
    this.#published = this.#published.filter((mark) => mark.sequence > sequence);
    for (const { revision } of enforced) if (this.#parts.barrier.cut(revision)) this.#parts.onCut(revision);
  }

  /** A cut that was not received may be in the stream; a mark that is not in the stream is published again. */
  async #readCut(): Promise<void> {
    const { jsm, subjects, barrier } = this.#parts;
    if (!barrier.open) return;
    const last = await jsm.streams.getMessage(STREAM, { last_by_subj: subjects.barrierCut });
    if (last) this.#onEntry(last.string());
    const newest = this.#published.at(-1);
    await this.#publish(newest !== undefined && performance.now() - newest.at > REPEAT_MS);
  }
}
