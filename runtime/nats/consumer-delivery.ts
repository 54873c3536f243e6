/**
 * The messages of one consumer, handed over until the consumer ends or can no longer be trusted. What a consumer sends over a connection
 * that dies, or over a route between two servers that dies, it never sends again. So its messages are counted, and it is left when the
 * connection changes. The stream follower uses one for each consumer that it creates.
 */
import type { ConsumerMessages, JsMsg } from "@nats-io/jetstream";

const ENDED = "the consumer ended";
export const MOVED = "the connection changed";
const LOST = "a message did not arrive";
export const FAILED = "a message could not be handled";

const CONNECTION_CHECK_MS = 50;

/** Notifications after which the consumer delivers nothing more. */
const FATAL = new Set([
  "heartbeats_missed",
  "consumer_not_found",
  "consumer_deleted",
  "stream_not_found",
  "no_responders",
]);

type ConsumerDeliveryOptions = {
  messages: ConsumerMessages;
  /** Another connection than the one that created the consumer is in use. */
  hasMoved: () => boolean;
  /** False where the message could not be handled: no further one is handed over. */
  onMessage: (message: JsMsg) => boolean;
};

export class ConsumerDelivery {
  readonly #options: ConsumerDeliveryOptions;
  #reason = ENDED;
  #stopped = false;
  #delivered = 0;

  constructor(options: ConsumerDeliveryOptions) {
    this.#options = options;
  }

  /** Resolves with the reason why no more messages come. */
  async run(): Promise<string> {
    const { messages, hasMoved } = this.#options;
    // Heartbeats that will not come need not be awaited; and the consumer may outlive the change.
    const connectionCheck = setInterval(() => hasMoved() && this.#leave(MOVED), CONNECTION_CHECK_MS);
    void this.#watchStatus();
    try {
      for await (const message of messages) if (!this.#deliver(message)) break;
    } finally {
      clearInterval(connectionCheck);
    }
    return this.#reason;
  }

  /** No message is handed over any more. */
  stop(): void {
    this.#stopped = true;
    this.#options.messages.stop();
  }

  #deliver(message: JsMsg): boolean {
    if (this.#stopped) return false;
    if (this.#options.hasMoved()) this.#leave(MOVED);
    else if (message.info.deliverySequence !== this.#delivered + 1) this.#leave(LOST);
    if (this.#reason === MOVED || this.#reason === LOST) return false;
    this.#delivered++;
    if (this.#options.onMessage(message)) return true;
    this.#leave(FAILED);
    return false;
  }

  async #watchStatus(): Promise<void> {
    /** What the server had sent at the last heartbeat: a message that is still missing at the next one did not arrive. */
    let sent = 0;
    for await (const status of this.#options.messages.status()) {
      if (FATAL.has(status.type)) this.#leave(status.type);
      if (status.type !== "heartbeat") continue;
      if (this.#delivered < sent) this.#leave(LOST);
      sent = status.lastConsumerSequence;
    }
  }

  #leave(reason: string): void {
    this.#reason = reason;
    this.#options.messages.stop();
  }
}
