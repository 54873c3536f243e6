/**
 * Publishes whole units into one stream, fenced. A unit of one message is sent by itself, up to 64 at a time. A unit of several is sent as an
 * atomic batch (ADR-50); units that wait meanwhile share the next batch, so load makes batches larger, not slower.
 *
 * The first message of each names the last sequence that the stream must have (`fence.ts`). So only one of two bridges can write, and after a
 * lost message nothing is stored: the publisher fails as a whole, and the next leader reads back what was stored.
 */
import { createInbox, type Msg, type MsgHdrs, headers as makeHeaders, type NatsConnection } from "@nats-io/nats-core";
import { type Fault, fault } from "../../core/errors.ts";
import type { MovedEntry } from "../../core/wire/wire.ts";
import { FENCE, type Fence } from "./fence.ts";

export type Message = {
  subject: string;
  headers: Record<string, string>;
  body: string | MovedBody;
};

/** Body of `moved.<uuid>`. It names a message of the same unit by its sequence, which is `before` messages earlier. */
export type MovedBody = { left: string; before: number } | { left: null };

/** nats-server accepts no larger batch. */
export const MAX_UNIT = 1_000;
const SINGLES_IN_FLIGHT = 64;
/** nats-server stores one while the next is sent. */
const BATCHES_IN_FLIGHT = 2;
const SILENCE_MS = 10_000;
/** The server's error code for an expected last sequence that does not hold. */
const WRONG_LAST_SEQUENCE = 10071;

type Unit = { messages: readonly Message[]; onStored: () => void };
type Flight = { units: Unit[]; expected: number; last: number; sentAt: number; isBatch: boolean; isStored: boolean };
type PubAck = { seq?: number; error?: { err_code?: number; description?: string } };

export type PublisherOptions = {
  nc: NatsConnection;
  stream: string;
  /** The stream's last sequence, as read by this bridge when it became the leader. */
  lastSequence: number;
  inboxPrefix: string;
  now: () => number;
  /** Called once; nothing is published afterwards. */
  onFailed: (error: Fault) => void;
  /** How many messages were sent together. */
  onSent?: (messages: number, isBatch: boolean) => void;
  fence?: Fence;
};

export class FencedPublisher {
  readonly #options: PublisherOptions;
  readonly #inbox: string;
  readonly #id: string;
  readonly #fence: Fence;
  /** Sequences of the last messages that were sent, pushed, acknowledged. */
  #sent: number;
  #promised: number;
  #stored: number;
  #queue: Unit[] = [];
  readonly #flights = new Map<number, Flight>();
  #nextFlight = 0;
  #batches = 0;
  #failed: Fault | null = null;
  #waiters: (() => void)[] = [];
  readonly #timer: NodeJS.Timeout;
  readonly #unsubscribe: () => void;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#fence = options.fence ?? FENCE;
    this.#sent = this.#promised = this.#stored = options.lastSequence;
    this.#inbox = createInbox(options.inboxPrefix);
    this.#id = this.#inbox.slice(-22);
    const subscription = options.nc.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (!error) this.#onAnswer(message);
      },
    });
    this.#unsubscribe = () => subscription.unsubscribe();
    this.#timer = setInterval(() => this.#checkSilence(), 1_000);
  }

  /** The sequence that the last pushed message will have unless publishing fails. */
  get promisedSequence(): number {
    return this.#promised;
  }

  get storedSequence(): number {
    return this.#stored;
  }

  /** Messages that were pushed and are not acknowledged. */
  get pending(): number {
    return this.#promised - this.#stored;
  }

  /** Messages that must be in the stream together or not at all. Returns the sequence of the last. */
  push(messages: readonly Message[], onStored: () => void = () => {}): number {
    if (messages.length === 0 || messages.length > MAX_UNIT) throw new RangeError(`a unit of ${messages.length}`);
    this.#queue.push({ messages, onStored });
    this.#promised += messages.length;
    this.#pump();
    return this.#promised;
  }

  /** Resolves when at most `messages` wait for their acknowledgement. @throws the fault that publishing failed with */
  async acknowledged(messages = 0): Promise<void> {
    while (this.pending > messages && !this.#failed) {
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
    if (this.#failed) throw this.#failed;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#unsubscribe();
    this.#fail(fault("stream.silent", { stream: this.#options.stream, seconds: 0 }), false);
  }

  #pump(): void {
    while (this.#queue[0] && !this.#failed) {
      if (this.#queue[0].messages.length === 1) {
        if (this.#flights.size >= SINGLES_IN_FLIGHT) return;
        this.#send(this.#dequeue(1), false);
      } else {
        if (this.#batches >= BATCHES_IN_FLIGHT) return;
        this.#send(this.#dequeue(MAX_UNIT), true);
      }
    }
  }

  /** The units at the head of the queue that have room together. */
  #dequeue(room: number): Unit[] {
    let count = 0;
    let messages = 0;
    while (count < this.#queue.length) {
      const size = (this.#queue[count] as Unit).messages.length;
      if (messages + size > room) break;
      messages += size;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  #send(units: Unit[], isBatch: boolean): void {
    const flight = this.#nextFlight++;
    const expected = this.#sent;
    const messages = units.length === 1 ? (units[0] as Unit).messages : units.flatMap((unit) => unit.messages);
    const last = messages.length - 1;
    for (const [index, message] of messages.entries()) {
      const headers = makeHeaders();
      setAll(headers, message.headers);
      if (isBatch) {
        headers.set("Nats-Batch-Id", `${this.#id}-${flight}`);
        headers.set("Nats-Batch-Sequence", String(index + 1));
        if (index === last) headers.set("Nats-Batch-Commit", "1");
      }
      // In a batch nats-server accepts an expectation with the first message only; the others are not stored without it.
      if (index === 0) setAll(headers, this.#fence.headers(expected));
      this.#options.nc.publish(message.subject, bodyOf(message, expected + index + 1), {
        headers,
        ...(index === last ? { reply: `${this.#inbox}.${flight}` } : {}),
      });
    }
    this.#sent += messages.length;
    if (isBatch) this.#batches++;
    this.#options.onSent?.(messages.length, isBatch);
    const sentAt = this.#options.now();
    this.#flights.set(flight, { units, expected, last: this.#sent, sentAt, isBatch, isStored: false });
  }

  #onAnswer(message: Msg): void {
    if (this.#failed) return;
    const { stream } = this.#options;
    const flight = this.#flights.get(Number(message.subject.slice(this.#inbox.length + 1)));
    if (!flight || flight.isStored) return;
    if (message.headers?.code) {
      return this.#fail(fault("stream.refused", { stream, reason: `nothing answers (${message.headers.code})` }));
    }
    const ack = message.json<PubAck>();
    if (ack.error) {
      const reason = ack.error.description ?? "no reason given";
      if (ack.error.err_code !== WRONG_LAST_SEQUENCE) return this.#fail(fault("stream.refused", { stream, reason }));
      return this.#fail(fault("stream.fenced", { stream, expected: flight.expected }));
    }
    if (!this.#fence.holds(ack.seq, flight.last)) {
      return this.#fail(fault("stream.fenced", { stream, expected: flight.expected }));
    }
    flight.isStored = true;
    if (flight.isBatch) this.#batches--;
    this.#reportStored();
    this.#pump();
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  /** In order: a flight counts as stored only once all flights before it are. */
  #reportStored(): void {
    for (const [number, flight] of this.#flights) {
      if (!flight.isStored) return;
      this.#flights.delete(number);
      this.#stored = flight.last;
      for (const unit of flight.units) unit.onStored();
    }
  }

  #checkSilence(): void {
    const [oldest] = this.#flights.values();
    if (!oldest || this.#options.now() - oldest.sentAt < SILENCE_MS) return;
    this.#fail(fault("stream.silent", { stream: this.#options.stream, seconds: SILENCE_MS / 1_000 }));
  }

  #fail(error: Fault, notify = true): void {
    if (this.#failed) return;
    this.#failed = error;
    this.#queue = [];
    for (const resolve of this.#waiters.splice(0)) resolve();
    if (notify) this.#options.onFailed(error);
  }
}

function setAll(headers: MsgHdrs, values: Readonly<Record<string, string>>): void {
  for (const name in values) headers.set(name, values[name] as string);
}

function bodyOf({ body }: Message, sequence: number): string {
  if (typeof body === "string") return body;
  const from = body.left === null ? null : { subject: body.left, sequence: sequence - body.before };
  return JSON.stringify({ from } satisfies MovedEntry);
}
