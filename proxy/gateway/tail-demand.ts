/**
 * Tells the log follower which logs are tailed: at once when one is opened, and again and again while it is. What is no longer
 * repeated is forgotten there, so a gateway that dies needs nobody to say so.
 */
import type { NatsConnection } from "@nats-io/nats-core";
import type { Subjects } from "../../core/subjects.ts";
import { TAILED_REPEAT_MS, type Tailed } from "../../core/wire/wire.ts";

/** Keeps a message well below what nats-server lets through. */
const SUBJECTS_PER_MESSAGE = 1_000;

export class TailDemand {
  readonly #store: NatsConnection;
  readonly #subject: string;
  #timer: NodeJS.Timeout | null = null;

  constructor(store: NatsConnection, subjects: Subjects) {
    this.#store = store;
    this.#subject = subjects.tailed;
  }

  /** Publishes the logs that are tailed again and again. */
  repeat(tailed: () => Iterable<string>): void {
    this.#timer = setInterval(() => this.publish(tailed()), TAILED_REPEAT_MS);
  }

  publish(logs: Iterable<string>): void {
    const all = [...new Set(logs)];
    for (let at = 0; at < all.length && !this.#store.isClosed(); at += SUBJECTS_PER_MESSAGE) {
      const body: Tailed = { subjects: all.slice(at, at + SUBJECTS_PER_MESSAGE) };
      this.#store.publish(this.#subject, JSON.stringify(body));
    }
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
  }
}
