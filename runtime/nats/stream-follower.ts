/**
 * Follows a stream from a sequence on, in order and without a gap, over any disturbance. Each round reads through a pull consumer of its
 * own with heartbeats; a consumer that falls silent, is gone, or may have lost a message is replaced by one that starts at the next
 * sequence. (The library's ordered consumer was deaf for 35 s after a server restart: docs/nats-facts.md 5.4.)
 *
 * Where `onMessage` throws, what the caller made of the stream so far is not to be trusted: the stream is read again from the start, as
 * after a roll-back, and later each time that the same message fails again. No message is left out.
 *
 * The permission replica, the callout's barrier member and the bridge's take-over use it.
 */
import {
  type ConsumerMessages,
  DeliverPolicy,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
  ReplayPolicy,
} from "@nats-io/jetstream";
import type { ServerInfo } from "@nats-io/nats-core";
import { kindOfError, reasonOf } from "../../core/errors.ts";
import { backoffDelay } from "../backoff.ts";
import { ConsumerDelivery, FAILED, MOVED } from "./consumer-delivery.ts";
import { ephemeralConsumer } from "./ephemeral-consumer.ts";

export type FollowOptions = {
  js: JetStreamClient;
  jsm: JetStreamManager;
  stream: string;
  filter?: string;
  /** First sequence wanted. Default 1. `lastPerSubject`: the last message of each subject (needs `filter`), then all that come. */
  from?: number | "lastPerSubject";
  /**
   * The connection of `js`. Where another server answers, the stream may have been rolled back without showing it; where the connection
   * is a new one, messages that the old one carried are lost.
   */
  nc: { readonly info?: ServerConnection | undefined };
  /** What was delivered so far may not be what the stream holds: it is delivered again, from the start. */
  onReset?: (reason: string) => void;
  onMessage: (message: JsMsg) => void;
  /** Somebody waits for each message: a silence is noticed within 1 s to 1.5 s and not 2 s to 3 s, for twice the heartbeats. */
  urgent?: boolean;
  /** The end of the stream was reached; called each time a consumer gets there. */
  onCaughtUp?: () => void;
  /** A disturbance; reading continues in `delay` ms. */
  onTrouble?: (reason: string, delay: number) => void;
  /** `onMessage` threw. `onReset` has been called. */
  onFailure?: (failure: FollowFailure) => void;
};

/** The message that could not be handled, without its content; `times` that the stream could not be read to its end since. */
export type FollowFailure = { sequence: number; subject: string; reason: string; times: number };

type ServerConnection = Pick<ServerInfo, "server_id" | "client_id">;

export type StreamFollower = {
  /** The server process whose stream is read; undefined before the first consumer. */
  readonly server: string | undefined;
  /** Null once the message that failed has been passed. */
  readonly failure: FollowFailure | null;
  stop(): Promise<void>;
};

const PACE = { heartbeatMs: 1_000, retryMs: 500 };
/** The library takes no shorter heartbeat. */
const URGENT_PACE = { heartbeatMs: 500, retryMs: 100 };
const EXPIRES_MS = 10_000;
/** A consumer nobody pulls from for this long is removed by the server. */
const INACTIVE_MS = 30_000;
/** A message that fails every time is tried ever later, because each time the whole stream is read. */
const FAILED_MAX_MS = 20_000;

export function followStream(options: FollowOptions): StreamFollower {
  const follower = new Follower(options);
  follower.start();
  return follower;
}

class Follower implements StreamFollower {
  readonly #options: FollowOptions;
  readonly #pace: typeof PACE;
  /** Null: the last message of each subject comes first. */
  readonly #from: number | null;
  #next: number | null;
  /** The connection through which the current consumer was created. */
  #connection: ServerConnection | undefined;
  /** Why `onReset` is still to be called. */
  #resetDue: string | null = null;
  #failure: FollowFailure | null = null;
  /** Sequence that must be passed for failures to be over. */
  #furthestFailed = 0;
  #stopped = false;
  #delivery: ConsumerDelivery | null = null;
  #wake: () => void = () => {};
  #running: Promise<void> = Promise.resolve();

  constructor(options: FollowOptions) {
    this.#options = options;
    this.#pace = options.urgent ? URGENT_PACE : PACE;
    this.#from = options.from === "lastPerSubject" ? null : (options.from ?? 1);
    this.#next = this.#from;
  }

  get server(): string | undefined {
    return this.#connection?.server_id;
  }

  get failure(): FollowFailure | null {
    return this.#failure;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#delivery?.stop();
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const reason = await this.#round().catch(reasonOf);
      if (this.#stopped) return;
      const delay = this.#delayAfter(reason);
      attempt(() => this.#options.onTrouble?.(reason, delay));
      await this.#wait(delay);
    }
  }

  /** Reads through one consumer; resolves with the reason why that is over. */
  async #round(): Promise<string> {
    await this.#checkForRollback();
    const { consumer, info } = await this.#createConsumer();
    const messages: ConsumerMessages = await consumer.consume({
      max_messages: 1_000,
      expires: EXPIRES_MS,
      idle_heartbeat: this.#pace.heartbeatMs,
    });
    this.#delivery = new ConsumerDelivery({
      messages,
      hasMoved: () => this.#hasMoved(),
      onMessage: (message) => this.#deliver(message),
    });
    if (this.#stopped) this.#delivery.stop();
    if (info.num_pending === 0) this.#options.onCaughtUp?.();
    const reason = await this.#delivery.run();
    // Where its server is gone nobody answers for seconds; a consumer that is not deleted falls silent and is removed.
    const deleted = consumer.delete().catch(() => false);
    if (this.#stopped) await deleted;
    return reason;
  }

  #createConsumer(): ReturnType<typeof ephemeralConsumer> {
    const { filter } = this.#options;
    const start =
      this.#next === null
        ? { deliver_policy: DeliverPolicy.LastPerSubject }
        : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: this.#next };
    return ephemeralConsumer({
      ...this.#options,
      inactiveMs: INACTIVE_MS,
      reads: {
        ...start,
        replay_policy: ReplayPolicy.Instant,
        ...(filter === undefined ? {} : { filter_subject: filter }),
      },
    });
  }

  /** A position beyond the stream's end, or another server process: the same sequences may hold other messages, so reading starts over. */
  async #checkForRollback(): Promise<void> {
    const { jsm, stream, nc } = this.#options;
    const { state } = await jsm.streams.info(stream);
    const { info: current } = nc;
    if (!current) throw new Error("the connection is lost");
    const isBeyondEnd = this.#next !== null && this.#next - 1 > state.last_seq;
    const isReplaced = this.#connection !== undefined && current.server_id !== this.#connection.server_id;
    this.#connection = { server_id: current.server_id, client_id: current.client_id };
    if (isBeyondEnd) this.#resetDue = `it ends at ${state.last_seq}, before what was read`;
    else if (isReplaced) this.#resetDue = "nats-server was restarted";
    this.#reset();
  }

  /** Where `onReset` throws, the reset stays due. */
  #reset(): void {
    if (this.#resetDue === null) return;
    this.#next = this.#from;
    this.#options.onReset?.(this.#resetDue);
    this.#resetDue = null;
  }

  /** Hands a message over; false where that threw, and the stream is to be read again. */
  #deliver(message: JsMsg): boolean {
    const isLast = message.info.pending === 0;
    try {
      this.#options.onMessage(message);
      this.#next = message.seq + 1;
      if (isLast) this.#options.onCaughtUp?.();
    } catch (error) {
      this.#fail(message, error);
      return false;
    }
    if (message.seq >= this.#furthestFailed || isLast) this.#failure = null;
    return true;
  }

  #fail({ seq, subject }: JsMsg, error: unknown): void {
    const failure = { sequence: seq, subject, reason: kindOfError(error), times: (this.#failure?.times ?? 0) + 1 };
    this.#failure = failure;
    this.#furthestFailed = Math.max(this.#furthestFailed, seq);
    this.#resetDue = `message ${seq} could not be handled`;
    // At once: nobody is to be judged by half a commit.
    attempt(() => this.#reset());
    attempt(() => this.#options.onFailure?.(failure));
  }

  /** False while there is no connection. */
  #hasMoved(): boolean {
    const { info: current } = this.#options.nc;
    if (current === undefined) return false;
    return current.server_id !== this.#connection?.server_id || current.client_id !== this.#connection.client_id;
  }

  #delayAfter(reason: string): number {
    const { retryMs } = this.#pace;
    if (reason === MOVED) return 0;
    if (reason !== FAILED) return retryMs;
    return backoffDelay({ min: retryMs, max: FAILED_MAX_MS, jitter: 0 }, (this.#failure?.times ?? 1) - 1, 0);
  }

  async #wait(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** A callback of the caller's that throws must not end the following: what is due is called again. */
function attempt(callback: () => void): void {
  try {
    callback();
  } catch {
    // The caller logs its own failures.
  }
}
