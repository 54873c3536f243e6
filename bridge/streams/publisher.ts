/**
 * Fenced publishing of whole units. A unit of one message goes by itself, up to 64 under way; a unit of several goes as an atomic batch
 * (ADR-50), and units that wait meanwhile share the next one, so that load makes batches larger, not slower.
 *
 * Whatever is sent first says which last sequence the stream must have. So of two bridges only one can write, and after a lost
 * message nothing gets through: the publisher fails as a whole, and whoever leads next reads back what was stored.
 */
import { createInbox, type Msg, headers as makeHeaders, type NatsConnection } from "@nats-io/nats-core";
import { type Fault, fault } from "../../core/errors.ts";
import type { MovedEntry } from "../../core/wire/wire.ts";

export type Message = {
  subject: string;
  headers: Record<string, string>;
  body: string | MovedBody;
};

/** Body of `moved.<uuid>`, which names a message of the same unit by its sequence: that many places `before` this one. */
export type MovedBody = { left: string; before: number } | { left: null };

/** What nats-server takes as one batch. */
export const MAX_UNIT = 1_000;
const SINGLES_IN_FLIGHT = 64;
/** One is being stored while the next is on its way. */
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
  /** Told once; nothing is published after it. */
  onFailed: (error: Fault) => void;
  /** false = the fence is left out, to show in a test what it is good for. */
  fenced?: boolean;
};

export class FencedPublisher {
  readonly #options: PublisherOptions;
  readonly #inbox: string;
  readonly #id: string;
  /** Sequence of the last message sent, handed over, acknowledged. */
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
  readonly #onUnit: (messages: number, isBatch: boolean) => void;

  constructor(options: PublisherOptions, onSent: (messages: number, isBatch: boolean) => void = () => {}) {
    this.#options = options;
    this.#onUnit = onSent;
    this.#sent = this.#promised = this.#stored = options.lastSequence;
    this.#inbox = createInbox(options.inboxPrefix);
    this.#id = this.#inbox.slice(-22);
    const subscription = options.nc.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (!error) this.#take(message);
      },
    });
    this.#unsubscribe = () => subscription.unsubscribe();
    this.#timer = setInterval(() => this.#checkSilence(), 1_000);
  }

  /** The sequence of the last message handed over, if all goes well. */
  get promisedSequence(): number {
    return this.#promised;
  }

  get storedSequence(): number {
    return this.#stored;
  }

  /** Messages that were handed over and are not acknowledged. */
  get pending(): number {
    return this.#promised - this.#stored;
  }

  /** Hands over messages that shall stand in the stream together or not at all. Returns the sequence of the last. */
  push(messages: readonly Message[], onStored: () => void = () => {}): number {
    if (messages.length === 0 || messages.length > MAX_UNIT) throw new RangeError(`a unit of ${messages.length}`);
    this.#queue.push({ messages, onStored });
    this.#promised += messages.length;
    this.#pump();
    return this.#promised;
  }

  /** Resolves when at most `messages` wait for their acknowledgement. Throws what publishing met. */
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
    const { nc, fenced = true, now } = this.#options;
    const flight = this.#nextFlight++;
    const expected = this.#sent;
    const messages = units.length === 1 ? (units[0] as Unit).messages : units.flatMap((unit) => unit.messages);
    const last = messages.length - 1;
    for (const [index, message] of messages.entries()) {
      const headers = makeHeaders();
      for (const name in message.headers) headers.set(name, message.headers[name] as string);
      if (isBatch) {
        headers.set("Nats-Batch-Id", `${this.#id}-${flight}`);
        headers.set("Nats-Batch-Sequence", String(index + 1));
        if (index === last) headers.set("Nats-Batch-Commit", "1");
      }
      // In a batch the server takes an expectation with the first message only; the others cannot come without it.
      if (index === 0 && fenced) headers.set("Nats-Expected-Last-Sequence", String(expected));
      nc.publish(message.subject, bodyOf(message, expected + index + 1), {
        headers,
        ...(index === last ? { reply: `${this.#inbox}.${flight}` } : {}),
      });
    }
    this.#sent += messages.length;
    if (isBatch) this.#batches++;
    this.#onUnit(messages.length, isBatch);
    this.#flights.set(flight, { units, expected, last: this.#sent, sentAt: now(), isBatch, isStored: false });
  }

  #take(message: Msg): void {
    if (this.#failed) return;
    const { stream, fenced = true } = this.#options;
    const flight = this.#flights.get(Number(message.subject.slice(this.#inbox.length + 1)));
    if (!flight || flight.isStored) return;
    if (message.headers?.code) {
      return this.#fail(fault("stream.refused", { stream, reason: `nobody answers (${message.headers.code})` }));
    }
    const ack = message.json<PubAck>();
    if (ack.error) {
      const reason = ack.error.description ?? "no reason given";
      if (ack.error.err_code !== WRONG_LAST_SEQUENCE) return this.#fail(fault("stream.refused", { stream, reason }));
      return this.#fail(fault("stream.fenced", { stream, expected: flight.expected }));
    }
    if (fenced && ack.seq !== flight.last)
      return this.#fail(fault("stream.fenced", { stream, expected: flight.expected }));
    flight.isStored = true;
    if (flight.isBatch) this.#batches--;
    this.#settle();
    this.#pump();
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  /** In order: what stands behind something unacknowledged is not stored yet as far as anybody may know. */
  #settle(): void {
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

  #fail(error: Fault, tell = true): void {
    if (this.#failed) return;
    this.#failed = error;
    this.#queue = [];
    for (const resolve of this.#waiters.splice(0)) resolve();
    if (tell) this.#options.onFailed(error);
  }
}

function bodyOf({ body }: Message, sequence: number): string {
  if (typeof body === "string") return body;
  const from = body.left === null ? null : { subject: body.left, sequence: sequence - body.before };
  return JSON.stringify({ from } satisfies MovedEntry);
}
