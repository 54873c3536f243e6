/**
 * Follows a stream from a sequence on, in order and without a gap, over any disturbance: a pull consumer of its own with 1 s
 * heartbeats, made anew at the next sequence whenever it falls silent, is gone, or may have sent what did not arrive. (The library's
 * ordered consumer was deaf for 35 s after a server restart: docs/nats-facts.md 5.4.)
 *
 * Where taking a message in throws, what was made of the stream so far is not to be trusted: everything is read again from the start, as
 * after a roll-back, and later each time that the same message fails again. Nothing is passed over.
 *
 * What a consumer sends over a connection that dies, or over a route between two servers that does, it never sends again, and it
 * lives on. So each connection has a consumer of its own, and the numbers that a consumer gives its messages are counted.
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
   * was made anew, what was on its way is lost.
   */
  nc: { readonly info?: Place | undefined };
  /** What was delivered so far may not be what the stream holds: it is delivered anew, from the start. */
  onReset?: (reason: string) => void;
  onMessage: (message: JsMsg) => void;
  /** Somebody waits for each message: a silence is noticed within 1 s to 1.5 s and not 2 s to 3 s, for twice the heartbeats. */
  urgent?: boolean;
  /** The stream's present end was reached; called each time a consumer gets there. */
  onCaughtUp?: () => void;
  /** A disturbance, and that it goes on in `delay` ms. */
  onTrouble?: (reason: string, delay: number) => void;
  /** Something threw while a message was taken in. `onReset` has been called. */
  onFailure?: (failure: FollowFailure) => void;
};

/** The message that could not be taken in, without its content; `times` that the stream could not be read to its end since. */
export type FollowFailure = { sequence: number; subject: string; reason: string; times: number };

type Place = Pick<ServerInfo, "server_id" | "client_id">;

export type StreamFollower = {
  /** The server process whose stream is read; undefined before the first look. */
  readonly server: string | undefined;
  /** Null once the message that failed has been passed. */
  readonly failure: FollowFailure | null;
  stop(): Promise<void>;
};

const PACE = { heartbeatMs: 1_000, retryMs: 500 };
/** The library takes no shorter heartbeat. */
const URGENT = { heartbeatMs: 500, retryMs: 100 };
const LOOK_MS = 50;
const MOVED = "the connection was made anew";
const LOST = "a message did not arrive";
const FAILED = "a message could not be taken in";
const EXPIRES_MS = 10_000;
/** A consumer nobody pulls from for this long is removed by the server. */
const INACTIVE_MS = 30_000;

/** What fails every time is read again ever later, for each time is a reading of the whole stream. */
const FAILED_MAX_MS = 20_000;

function failureDelay(times: number, retryMs: number): number {
  return Math.min(FAILED_MAX_MS, retryMs * 2 ** Math.min(times - 1, 16));
}

/** A callback that throws here stops nothing. */
function attempt(work: () => void): void {
  try {
    work();
  } catch {
    // Said where it was called for: what is due is called again.
  }
}

/** Notifications after which the consumer will deliver nothing more. */
const FATAL = new Set([
  "heartbeats_missed",
  "consumer_not_found",
  "consumer_deleted",
  "stream_not_found",
  "no_responders",
]);

export function followStream(options: FollowOptions): StreamFollower {
  /** Null: the last message of each subject comes first. */
  const from = options.from === "lastPerSubject" ? null : (options.from ?? 1);
  const { heartbeatMs, retryMs } = options.urgent ? URGENT : PACE;
  let next = from;
  /** Where the present consumer was made. */
  let place: Place | undefined;
  /** Why `onReset` is still to be called. */
  let due: string | null = null;
  let failure: FollowFailure | null = null;
  /** Sequence that must be passed for failures to be over. */
  let passed = 0;
  let stopped = false;
  let current: ConsumerMessages | null = null;
  let wake: () => void = () => {};

  /** A position beyond the stream's end, or another server process behind it: start anew, for the same sequences may say something else. */
  const lookForRollback = async () => {
    const { state } = await options.jsm.streams.info(options.stream);
    const { info: now } = options.nc;
    if (!now) throw new Error("the connection is lost");
    const beyond = next !== null && next - 1 > state.last_seq;
    const replaced = place !== undefined && now.server_id !== place.server_id;
    place = { server_id: now.server_id, client_id: now.client_id };
    if (beyond) due = `it ends at ${state.last_seq}, before what was read`;
    else if (replaced) due = "nats-server was started anew";
    reset();
  };

  /** Where this throws it is still due. */
  const reset = () => {
    if (due === null) return;
    next = from;
    options.onReset?.(due);
    due = null;
  };

  /** Hands a message over; false where that threw, and everything is to be read again. */
  const take = (message: JsMsg): boolean => {
    try {
      options.onMessage(message);
      next = message.seq + 1;
      if (message.info.pending === 0) options.onCaughtUp?.();
    } catch (error) {
      failure = {
        sequence: message.seq,
        subject: message.subject,
        reason: kindOfError(error),
        times: (failure?.times ?? 0) + 1,
      };
      passed = Math.max(passed, message.seq);
      due = `message ${message.seq} could not be taken in`;
      // At once: nobody is to be judged by half a commit.
      attempt(reset);
      attempt(() => options.onFailure?.(failure as FollowFailure));
      return false;
    }
    if (failure && (message.seq >= passed || message.info.pending === 0)) failure = null;
    return true;
  };

  /** Without a connection there is none. */
  const isElsewhere = () => {
    const { info: now } = options.nc;
    return now !== undefined && (now.server_id !== place?.server_id || now.client_id !== place.client_id);
  };

  const round = async () => {
    await lookForRollback();
    const { consumer, info } = await ephemeralConsumer({
      ...options,
      inactiveMs: INACTIVE_MS,
      reads: {
        ...(next === null
          ? { deliver_policy: DeliverPolicy.LastPerSubject }
          : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: next }),
        replay_policy: ReplayPolicy.Instant,
        ...(options.filter === undefined ? {} : { filter_subject: options.filter }),
      },
    });
    const messages = await consumer.consume({
      max_messages: 1_000,
      expires: EXPIRES_MS,
      idle_heartbeat: heartbeatMs,
    });
    current = messages;
    if (stopped) messages.stop();
    let trouble = "the consumer ended";
    const leave = (reason: string) => {
      trouble = reason;
      messages.stop();
    };
    // No need to wait for heartbeats that will not come; and the consumer may outlive the change.
    const looking = setInterval(() => isElsewhere() && leave(MOVED), LOOK_MS);
    let taken = 0;
    /** As many as this had been sent at the last heartbeat: what has not been taken by the next one did not arrive. */
    let sent = 0;
    void (async () => {
      for await (const status of messages.status()) {
        if (FATAL.has(status.type)) leave(status.type);
        if (status.type !== "heartbeat") continue;
        if (taken < sent) leave(LOST);
        sent = status.lastConsumerSequence;
      }
    })();
    try {
      if (info.num_pending === 0) options.onCaughtUp?.();
      for await (const message of messages) {
        if (stopped) break;
        if (isElsewhere()) leave(MOVED);
        else if (message.info.deliverySequence !== taken + 1) leave(LOST);
        if (trouble === MOVED || trouble === LOST) break;
        taken++;
        if (take(message)) continue;
        leave(FAILED);
        break;
      }
    } finally {
      clearInterval(looking);
    }
    // Where its server is gone nobody answers for seconds; what is not deleted falls silent and is removed.
    const deleted = consumer.delete().catch(() => false);
    if (stopped) await deleted;
    return trouble;
  };

  const run = async () => {
    while (!stopped) {
      const reason = await round().catch(reasonOf);
      if (stopped) return;
      const wait = reason === MOVED ? 0 : reason === FAILED ? failureDelay(failure?.times ?? 1, retryMs) : retryMs;
      attempt(() => options.onTrouble?.(reason, wait));
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, wait);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  };
  const running = run();

  return {
    get server() {
      return place?.server_id;
    },
    get failure() {
      return failure;
    },
    async stop() {
      stopped = true;
      current?.stop();
      wake();
      await running;
    },
  };
}
