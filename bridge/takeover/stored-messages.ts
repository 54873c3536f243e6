/** Looks into a stream that only the bridge writes: single messages, the first one that is late enough, all from there on. */
import {
  DeliverPolicy,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
  type StoredMsg,
} from "@nats-io/jetstream";
import { ephemeralConsumer } from "../../runtime/nats/ephemeral-consumer.ts";
import type { StreamName } from "../../streams-config/accounts.ts";

const NO_MESSAGE = 10037;
const PAGE = 1_000;
const EXPIRES_MS = 5_000;
/** Consumers that give nothing, one after the other. */
const TRIES = 3;

export type StreamReader = { js: JetStreamClient; jsm: JetStreamManager; stream: StreamName };

/** Null where it is missing. */
export function messageAt({ jsm, stream }: StreamReader, seq: number): Promise<StoredMsg | null> {
  return orNull(jsm.streams.getMessage(stream, { seq }));
}

export function lastMessageOn({ jsm, stream }: StreamReader, subject: string): Promise<StoredMsg | null> {
  return orNull(jsm.streams.getMessage(stream, { last_by_subj: subject }));
}

/**
 * The first sequence of `first`…`last` behind all that are early, by bisection; what is missing, or says nothing, is taken for late, so that
 * the answer is at worst too early.
 */
export async function firstLate(
  reader: StreamReader,
  { first, last }: { first: number; last: number },
  isEarly: (message: StoredMsg) => boolean,
): Promise<number> {
  let low = first;
  let high = last + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const message = await messageAt(reader, middle);
    if (message && isEarly(message)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Hands over what the stream holds from `from` to `last` at least, in order. A consumer ends with its server, of several servers too: what it
 * did not give is asked for by itself, and is missing, with all behind it, only where that is not there.
 */
export async function readFrom(
  reader: StreamReader,
  { from, last }: { from: number; last: number },
  take: (message: JsMsg) => void,
): Promise<void> {
  let next = from;
  for (let silent = 0; next <= last; ) {
    const before = next;
    await consume(reader, next, (message) => {
      next = message.seq + 1;
      take(message);
    });
    if (next > last || (await messageAt(reader, next)) === null) return;
    silent = next === before ? silent + 1 : 0;
    if (silent === TRIES) throw new Error(`${reader.stream} does not give message ${next}, though it is there`);
  }
}

/** As much as one consumer gives in a row: it numbers what it sends, and never sends again what was lost on its way. */
async function consume({ js, jsm, stream }: StreamReader, from: number, take: (message: JsMsg) => void): Promise<void> {
  const { consumer, info } = await ephemeralConsumer({
    js,
    jsm,
    stream,
    inactiveMs: 30_000,
    reads: { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: from },
  });
  let taken = 0;
  for (let isWhole = true; isWhole && taken < info.num_pending; ) {
    const before = taken;
    const page = Math.min(info.num_pending - taken, PAGE);
    for await (const message of await consumer.fetch({ max_messages: page, expires: EXPIRES_MS })) {
      if (message.info.deliverySequence !== taken + 1) break;
      taken++;
      take(message);
    }
    isWhole = taken === before + page;
  }
  await consumer.delete().catch(() => false);
}

async function orNull(asked: Promise<StoredMsg | null>): Promise<StoredMsg | null> {
  try {
    return await asked;
  } catch (error) {
    if ((error as { code?: number }).code === NO_MESSAGE) return null;
    throw error;
  }
}
