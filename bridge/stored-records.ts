/**
 * What RECORDS holds, read back by a new leader from the position that PostgreSQL still keeps: where its good part ends, and whether
 * something is missing. After a power loss the server's last sequence may be newer than its messages.
 */
import { DeliverPolicy, type JetStreamClient, type JetStreamManager, type StoredMsg } from "@nats-io/jetstream";
import { type Lsn, parseLsn } from "../core/lsn.ts";
import type { Subjects } from "../core/subjects.ts";
import { HEADER, type LeaderEntry } from "../core/wire.ts";
import { ephemeralConsumer } from "../runtime/ephemeral-consumer.ts";
import type { StoredEvent } from "./commit-units.ts";

const STREAM = "RECORDS";
const NO_MESSAGE = 10037;
const PAGE = 1_000;
const EXPIRES_MS = 5_000;
/** Consumers that give nothing, one after the other. */
const TRIES = 3;

export type StoredRecords = {
  leader: LeaderEntry | null;
  lastSequence: number;
  replicas: number;
  /** The last event of the good part, of whatever epoch; null = there is none. */
  last: (StoredEvent & { sequence: number }) | null;
  hasHole: boolean;
};

/** @param kept events of commits before this position are known to be stored: PostgreSQL has forgotten them */
export async function readStoredRecords(
  js: JetStreamClient,
  jsm: JetStreamManager,
  subjects: Subjects,
  kept: Lsn,
): Promise<StoredRecords> {
  const { state, config } = await jsm.streams.info(STREAM);
  const leaderMessage = await lastOn(jsm, subjects.recordsLeader);
  const leader = leaderMessage?.json<LeaderEntry>() ?? null;
  const since = leader?.since ?? 1;
  const first = Math.max(state.first_seq, since);
  const from = state.messages === 0 ? state.last_seq + 1 : await firstFrom(jsm, first, state.last_seq, kept);
  const tail = new TailReader(from);
  if (state.messages > 0) await readTail(js, jsm, state.last_seq, tail);
  const hasHole = state.messages > 0 && tail.next <= state.last_seq;
  return {
    leader,
    lastSequence: state.last_seq,
    replicas: config.num_replicas,
    last: tail.last ?? (await lastEventBefore(jsm, subjects, { from, since, resume: leader?.resume ?? 0 })),
    hasHole,
  };
}

/** Follows messages in sequence and keeps the last event; stops counting at the first gap, until what is missing comes after all. Pure. */
export class TailReader {
  #next: number;
  #last: (Position & { sequence: number; subjects: Set<string> }) | null = null;

  constructor(from: number) {
    this.#next = from;
  }

  /** The sequence that should come next; after a gap: the first missing one. */
  get next(): number {
    return this.#next;
  }

  get last(): StoredRecords["last"] {
    return this.#last;
  }

  take(sequence: number, subject: string, position: Position | null): void {
    if (sequence !== this.#next) return;
    this.#next++;
    if (!position) return;
    const { lsn, ordinal, isWhole } = position;
    const isSame = this.#last?.lsn === lsn && this.#last.ordinal === ordinal;
    const subjects = isSame && this.#last ? this.#last.subjects : new Set<string>();
    this.#last = { sequence, lsn, ordinal, subjects: subjects.add(subject), isWhole };
  }
}

/** The first message of the epoch whose commit PostgreSQL may still send; by bisection, since positions grow within an epoch. */
async function firstFrom(jsm: JetStreamManager, first: number, last: number, kept: Lsn): Promise<number> {
  let low = first;
  let high = last + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const message = await at(jsm, middle);
    const position = message && positionOf(message.header);
    // What is missing or no event says nothing: look from an earlier place.
    if (position && position.lsn < kept) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Reads from `tail.next` to `last`, or to the first message that is missing. A consumer ends with its server, of several servers too: what it
 * did not give is asked for by itself before it counts as missing.
 */
async function readTail(js: JetStreamClient, jsm: JetStreamManager, last: number, tail: TailReader): Promise<void> {
  for (let silent = 0; tail.next <= last; ) {
    const from = tail.next;
    await readFrom(js, jsm, from, tail);
    if (tail.next > last || (await at(jsm, tail.next)) === null) return;
    silent = tail.next === from ? silent + 1 : 0;
    if (silent === TRIES) throw new Error(`${STREAM} does not give message ${from}, though it is there`);
  }
}

async function readFrom(js: JetStreamClient, jsm: JetStreamManager, from: number, tail: TailReader): Promise<void> {
  const { consumer, info } = await ephemeralConsumer({
    js,
    jsm,
    stream: STREAM,
    inactiveMs: 30_000,
    reads: { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: from },
  });
  for (let left = info.num_pending; left > 0; ) {
    let came = 0;
    for await (const message of await consumer.fetch({ max_messages: Math.min(left, PAGE), expires: EXPIRES_MS })) {
      came++;
      tail.take(message.seq, message.subject, positionOf(message.headers));
    }
    // The server says that there are more and gives none.
    if (came === 0) break;
    left -= came;
  }
  await consumer.delete().catch(() => false);
}

/** The tail holds no event: the last one of the epoch before it, else the one that the epoch goes on from. */
async function lastEventBefore(
  jsm: JetStreamManager,
  subjects: Subjects,
  { from, since, resume }: { from: number; since: number; resume: number },
): Promise<StoredRecords["last"]> {
  const last = await lastOn(jsm, subjects.recordsAll);
  const isOfEpoch = last !== null && last.seq >= since && last.seq < from;
  const message = isOfEpoch ? last : resume > 0 ? await at(jsm, resume) : null;
  const position = positionOf(message?.header);
  if (!message || !position) return null;
  const names = new Set([message.subject]);
  for (let sequence = message.seq - 1; ; sequence--) {
    const before = sequence > 0 ? await at(jsm, sequence) : null;
    const its = positionOf(before?.header);
    if (!before || its?.lsn !== position.lsn || its.ordinal !== position.ordinal) break;
    names.add(before.subject);
  }
  return { ...position, sequence: message.seq, subjects: names };
}

/** `isWhole`: the stream may end here without having half a commit. */
type Position = { lsn: Lsn; ordinal: number; isWhole: boolean };

function positionOf(header: { get(name: string): string } | undefined): Position | null {
  const lsn = header?.get(HEADER.lsn);
  if (!header || !lsn) return null;
  const part = header.get(HEADER.part);
  // The server stores a batch's own headers with it: one that ends without its commit was cut off by a power loss.
  const endsBatch = header.get("Nats-Batch-Id") === "" || header.get("Nats-Batch-Commit") !== "";
  return {
    lsn: parseLsn(lsn),
    ordinal: Number(header.get(HEADER.ordinal)),
    isWhole: endsBatch && (part === "" || part === "last"),
  };
}

function lastOn(jsm: JetStreamManager, subject: string): Promise<StoredMsg | null> {
  return orNull(jsm.streams.getMessage(STREAM, { last_by_subj: subject }));
}

function at(jsm: JetStreamManager, seq: number): Promise<StoredMsg | null> {
  return orNull(jsm.streams.getMessage(STREAM, { seq }));
}

async function orNull(asked: Promise<StoredMsg | null>): Promise<StoredMsg | null> {
  try {
    return await asked;
  } catch (error) {
    if ((error as { code?: number }).code === NO_MESSAGE) return null;
    throw error;
  }
}
