/** Reads a stream that only the bridge writes: single messages, the first late one, and all from a sequence on. */
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
/** So many consumers in a row may deliver nothing. */
const TRIES = 3;

export type StreamReader = { js: JetStreamClient; jsm: JetStreamManager; stream: StreamName };

/** Null where the message is missing. */
export function messageAt({ jsm, stream }: StreamReader, seq: number): Promise<StoredMsg | null> {
  return orNull(jsm.streams.getMessage(stream, { seq }));
}

export function lastMessageOn({ jsm, stream }: StreamReader, subject: string): Promise<StoredMsg | null> {
  return orNull(jsm.streams.getMessage(stream, { last_by_subj: subject }));
}

/**
 * The first sequence of `first`…`last` after all early messages, by bisection. A missing message counts as late, so the result is at worst too
 * early.
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
 * Passes the messages from `from` to at least `last` to `onMessage`, in order, until one is missing. A consumer ends when its server does, also
 * in a cluster; so a message that it did not deliver is read alone before it counts as missing.
 */
export async function readFrom(
  reader: StreamReader,
  { from, last }: { from: number; last: number },
  onMessage: (message: JsMsg) => void,
): Promise<void> {
  let next = from;
  for (let silent = 0; next <= last; ) {
    const before = next;
    await consume(reader, next, (message) => {
      next = message.seq + 1;
      onMessage(message);
    });
    if (next > last || (await messageAt(reader, next)) === null) return;
    silent = next === before ? silent + 1 : 0;
    if (silent === TRIES) throw new Error(`${reader.stream} does not deliver message ${next}, which it holds`);
  }
}

/** The messages of one consumer without a gap: it numbers its deliveries, and does not repeat a lost one. */
async function consume(
  { js, jsm, stream }: StreamReader,
  from: number,
  onMessage: (message: JsMsg) => void,
): Promise<void> {
  const { consumer, info } = await ephemeralConsumer({
    js,
    jsm,
    stream,
    inactiveMs: 30_000,
    reads: { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: from },
  });
  let delivered = 0;
  for (let isWhole = true; isWhole && delivered < info.num_pending; ) {
    const before = delivered;
    const page = Math.min(info.num_pending - delivered, PAGE);
    for await (const message of await consumer.fetch({ max_messages: page, expires: EXPIRES_MS })) {
      if (message.info.deliverySequence !== delivered + 1) break;
      delivered++;
      onMessage(message);
    }
    isWhole = delivered === before + page;
  }
  await consumer.delete().catch(() => false);
}

async function orNull(read: Promise<StoredMsg | null>): Promise<StoredMsg | null> {
  try {
    return await read;
  } catch (error) {
    if ((error as { code?: number }).code === NO_MESSAGE) return null;
    throw error;
  }
}
