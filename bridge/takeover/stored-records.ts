/**
 * What RECORDS holds, read back by a new leader from the position that PostgreSQL still keeps: where its good part ends, and whether
 * something is missing. After a power loss the server's last sequence may be newer than its messages.
 */
import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
import { type Lsn, parseLsn } from "../../core/lsn.ts";
import type { Subjects } from "../../core/subjects.ts";
import { HEADER, type LeaderEntry } from "../../core/wire/wire.ts";
import type { StoredEvent } from "../streams/commit-units.ts";
import { firstLate, lastMessageOn, messageAt, readFrom, type StreamReader } from "./stored-messages.ts";

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
  const reader: StreamReader = { js, jsm, stream: "RECORDS" };
  const { state, config } = await jsm.streams.info(reader.stream);
  const leaderMessage = await lastMessageOn(reader, subjects.recordsLeader);
  const leader = leaderMessage?.json<LeaderEntry>() ?? null;
  const since = leader?.since ?? 1;
  const first = Math.max(state.first_seq, since);
  // The first message of the epoch whose commit PostgreSQL may still send: positions grow within an epoch.
  const isKnown = ({ header }: { header: Header }) => (positionOf(header)?.lsn ?? kept) < kept;
  const from =
    state.messages === 0 ? state.last_seq + 1 : await firstLate(reader, { first, last: state.last_seq }, isKnown);
  const tail = new EpochEndReader(from);
  await readFrom(reader, { from, last: state.last_seq }, ({ seq, subject, headers }) =>
    tail.add(seq, subject, positionOf(headers)),
  );
  const hasHole = state.messages > 0 && tail.next <= state.last_seq;
  return {
    leader,
    lastSequence: state.last_seq,
    replicas: config.num_replicas,
    last: tail.last ?? (await lastEventBefore(reader, subjects, { from, since, resume: leader?.resume ?? 0 })),
    hasHole,
  };
}

/** Follows messages in sequence and keeps the last event; stops counting at the first gap. Pure. */
export class EpochEndReader {
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

  add(sequence: number, subject: string, position: Position | null): void {
    if (sequence !== this.#next) return;
    this.#next++;
    if (!position) return;
    const { lsn, ordinal, isWhole } = position;
    const isSame = this.#last?.lsn === lsn && this.#last.ordinal === ordinal;
    const subjects = isSame && this.#last ? this.#last.subjects : new Set<string>();
    this.#last = { sequence, lsn, ordinal, subjects: subjects.add(subject), isWhole };
  }
}

/** The tail holds no event: the last one of the epoch before it, else the one that the epoch goes on from. */
async function lastEventBefore(
  reader: StreamReader,
  subjects: Subjects,
  { from, since, resume }: { from: number; since: number; resume: number },
): Promise<StoredRecords["last"]> {
  const last = await lastMessageOn(reader, subjects.recordsAll);
  const isOfEpoch = last !== null && last.seq >= since && last.seq < from;
  const message = isOfEpoch ? last : resume > 0 ? await messageAt(reader, resume) : null;
  const position = positionOf(message?.header);
  if (!message || !position) return null;
  const names = new Set([message.subject]);
  for (let sequence = message.seq - 1; ; sequence--) {
    const before = sequence > 0 ? await messageAt(reader, sequence) : null;
    const its = positionOf(before?.header);
    if (!before || its?.lsn !== position.lsn || its.ordinal !== position.ordinal) break;
    names.add(before.subject);
  }
  return { ...position, sequence: message.seq, subjects: names };
}

/** `isWhole`: the stream may end here without having half a commit. */
type Position = { lsn: Lsn; ordinal: number; isWhole: boolean };

type Header = { get(name: string): string };

export function positionOf(header: Header | undefined): Position | null {
  const lsn = header?.get(HEADER.lsn);
  if (!header || !lsn) return null;
  const part = header.get(HEADER.part);
  // The server stores a batch's own headers with it: one that ends without its commit was cut off by a power loss.
  const endsBatch = header.get("Nats-Batch-Id") === "" || header.get("Nats-Batch-Commit") !== "";
  const [copy, copies] = header.get(HEADER.copy).split("/");
  return {
    lsn: parseLsn(lsn),
    ordinal: Number(header.get(HEADER.ordinal)),
    isWhole: endsBatch && (part === "" || part === "last") && (copies === undefined || copy === copies),
  };
}
