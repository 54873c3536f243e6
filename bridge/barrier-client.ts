/** The bridge's voice in the barrier: says `mark` until it hears `cut`, for neither side keeps state that the other could rely on. */
import type { NatsConnection, Subscription } from "@nats-io/nats-core";
import type { Barrier } from "../core/barrier.ts";
import { formatRevision, parseRevision, type Revision } from "../core/revision.ts";
import type { Subjects } from "../core/subjects.ts";

const REPEAT_MS = 100;

export class BarrierClient {
  readonly #nc: NatsConnection;
  readonly #subjects: Subjects;
  readonly #barrier: Barrier;
  readonly #subscription: Subscription;
  #timer: NodeJS.Timeout | null = null;

  /** @param onCut called when records may have become free */
  constructor(nc: NatsConnection, subjects: Subjects, barrier: Barrier, onCut: (revision: Revision) => void) {
    this.#nc = nc;
    this.#subjects = subjects;
    this.#barrier = barrier;
    this.#subscription = nc.subscribe(subjects.barrierCut, {
      callback: (error, message) => {
        const revision = error ? null : parseRevision(message.string());
        if (revision && barrier.cut(revision)) onCut(revision);
      },
    });
  }

  /** A removal stands in GRAPH at `revision`: nothing committed from there on is released before it is enforced. */
  mark(revision: Revision): void {
    this.#barrier.mark(revision);
    this.#say();
    this.#timer ??= setInterval(() => this.#say(), REPEAT_MS);
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
    this.#subscription.unsubscribe();
  }

  #say(): void {
    const open = this.#barrier.open;
    if (open) return this.#nc.publish(this.#subjects.barrierMark, formatRevision(open));
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }
}
