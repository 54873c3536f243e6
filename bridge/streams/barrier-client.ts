/**
 * The bridge's side of the barrier on the wire: says `mark` in BARRIER, and takes it for enforced when it hears a `cut` of that
 * very mark or a later one, by their places in the stream. A word that got lost is looked for in the stream, and said again.
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
  /** Records may have become free. */
  onCut: (revision: Revision) => void;
};

const LOOK_MS = 250;
/** A mark that is not enforced after so long may be lost: BARRIER was rolled back, or nobody enforces. */
const SAY_AGAIN_MS = 5_000;
const PUBLISH_TIMEOUT_MS = 1_000;
const STREAM = "BARRIER";

type Said = { revision: Revision; sequence: number; at: number };

export class BarrierClient {
  readonly #parts: BarrierClientParts;
  readonly #subscription: Subscription;
  readonly #timer: NodeJS.Timeout;
  /** Marks that stand in BARRIER and are not enforced, oldest first. */
  #said: Said[] = [];
  /** A cut heard while our mark was under way; an older one may be of a BARRIER that was rolled back since. */
  #heard = 0;
  #saying = false;

  constructor(parts: BarrierClientParts) {
    this.#parts = parts;
    this.#subscription = parts.nc.subscribe(parts.subjects.barrierCut, {
      callback: (error, message) => {
        if (!error) this.#hear(message.string());
      },
    });
    this.#timer = setInterval(() => void this.#look().catch(() => undefined), LOOK_MS);
  }

  /** A removal stands in GRAPH at `revision`: nothing committed from there on is released before it is enforced. */
  mark(revision: Revision): void {
    this.#parts.barrier.mark(revision);
    void this.#say();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#subscription.unsubscribe();
  }

  /** Says the highest mark that is open; marks that come meanwhile are said together after it. */
  async #say(again = false): Promise<void> {
    const { js, subjects, barrier } = this.#parts;
    const revision = barrier.open;
    if (this.#saying || !revision) return;
    if (!again && this.#said.some((said) => atLeast(said.revision, revision))) return;
    this.#saying = true;
    this.#heard = 0;
    try {
      const entry = { kind: "mark", revision } as const;
      const options = { timeout: PUBLISH_TIMEOUT_MS };
      const { seq } = await js.publish(barrierSubject(subjects, entry), formatBarrierEntry(entry), options);
      this.#said.push({ revision, sequence: seq, at: performance.now() });
      this.#cutUpTo(this.#heard);
    } catch {
      // Nobody took it: the next look says it again.
      return;
    } finally {
      this.#saying = false;
    }
    void this.#say();
  }

  #hear(body: string): void {
    const entry = parseBarrierEntry(body);
    if (entry?.kind !== "cut") return;
    this.#heard = entry.mark;
    this.#cutUpTo(entry.mark);
  }

  #cutUpTo(sequence: number): void {
    const enforced = this.#said.filter((said) => said.sequence <= sequence);
    if (enforced.length === 0) return;
    this.#said = this.#said.filter((said) => said.sequence > sequence);
    for (const { revision } of enforced) if (this.#parts.barrier.cut(revision)) this.#parts.onCut(revision);
  }

  /** What was not heard may stand in the stream; what is not in the stream must be said. */
  async #look(): Promise<void> {
    const { jsm, subjects, barrier } = this.#parts;
    if (!barrier.open) return;
    const last = await jsm.streams.getMessage(STREAM, { last_by_subj: subjects.barrierCut });
    if (last) this.#hear(last.string());
    const newest = this.#said.at(-1);
    await this.#say(newest !== undefined && performance.now() - newest.at > SAY_AGAIN_MS);
  }
}
