/**
 * Fenced publishing: every message says which last sequence the stream must have, so that of two bridges only one can write,
 * and a lost or repeated message is noticed at once. Messages are pipelined; their order is the connection's.
 */
import { JetStreamApiError, type JetStreamClient } from "@nats-io/jetstream";
import { headers as makeHeaders } from "@nats-io/nats-core";
import { fault } from "../core/errors.ts";

export type Message = { subject: string; headers: Record<string, string>; body: string };

/** The server's error code for an expected last sequence that does not hold. */
const WRONG_LAST_SEQUENCE = 10071;
const IN_FLIGHT = 64;
const PUBLISH_TIMEOUT_MS = 5_000;

export class FencedPublisher {
  readonly #js: JetStreamClient;
  readonly #stream: string;
  #last: number;
  readonly #inFlight = new Set<Promise<unknown>>();
  #failed: unknown = null;

  /** @param lastSequence the stream's last sequence as read by this bridge when it became the leader */
  constructor(js: JetStreamClient, stream: string, lastSequence: number) {
    this.#js = js;
    this.#stream = stream;
    this.#last = lastSequence;
  }

  /** The sequence of the last message handed over. */
  get lastSequence(): number {
    return this.#last;
  }

  /** Hands a message over; waits only while too many are under way. Throws what an earlier message met. */
  async publish(message: Message): Promise<void> {
    while (this.#inFlight.size >= IN_FLIGHT) await Promise.race(this.#inFlight);
    this.#check();
    const expected = this.#last++;
    const headers = makeHeaders();
    for (const [name, value] of Object.entries(message.headers)) headers.set(name, value);
    const ack = this.#js
      .publish(message.subject, message.body, {
        headers,
        timeout: PUBLISH_TIMEOUT_MS,
        retries: 1,
        expect: { streamName: this.#stream, lastSequence: expected },
      })
      .catch((error) => {
        this.#failed ??= this.#explain(error, expected);
      })
      .finally(() => this.#inFlight.delete(ack));
    this.#inFlight.add(ack);
  }

  /** Resolves once everything handed over is acknowledged. */
  async flush(): Promise<void> {
    await Promise.all(this.#inFlight);
    this.#check();
  }

  #check(): void {
    if (this.#failed) throw this.#failed;
  }

  #explain(error: unknown, expected: number): unknown {
    if (error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE) {
      return fault("stream.fenced", { stream: this.#stream, expected }, { cause: error });
    }
    return error;
  }
}
