/**
 * Reads RECORDS back for a new leader, from the position that PostgreSQL still keeps: the last event before the first gap, and whether there is
 * a gap. After a power loss the server's last sequence may be newer than its messages. `take-over.ts` calls it.
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
  /** The last event before the first gap, of any epoch; null = there is none. */
  last: (StoredEvent & { sequence: number }) | null;
  hasHole: boolean;
};

/** @param kept events of commits before this position are stored: PostgreSQL has forgotten those commits */
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
  const end = new EpochEndReader(from);
  await readFrom(reader, { from, last: state.last_seq }, ({ seq, subject, headers }) =>
    end.add(seq, subject, positionOf(headers)),
  );
  const hasHole = state.messages > 0 && end.next <= state.last_seq;
  return {
    leader,
    lastSequence: state.last_seq,
    replicas: config.num_replicas,
    last: end.last ?? (await lastEventBefore(reader, subjects, { from, since, resume: leader?.resume ?? 0 })),
    hasHole,
  };
}

/** Reads messages in sequence and keeps the last event before the first gap. Pure. */
export class EpochEndReader {
  #next: number;
  #last: (Position & { sequence: number; subjects: Set<string> }) | null = null;

  constructor(from: number) {
    this.#next = from;
  }

  /** The next sequence; after a gap the first missing one. */
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

/** Where nothing was read: the last event of this epoch before, or the event that the epoch continues. */
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
    const previous = positionOf(before?.header);
    if (!before || previous?.lsn !== position.lsn || previous.ordinal !== position.ordinal) break;
    names.add(before.subject);
  }
  return { ...position, sequence: message.seq, subjects: names };
}

/** `isWhole`: this message ends its commit. */
type Position = { lsn: Lsn; ordinal: number; isWhole: boolean };

type Header = { get(name: string): string };

export function positionOf(header: Header | undefined): Position | null {
  const lsn = header?.get(HEADER.lsn);
  if (!header || !lsn) return null;
  const part = header.get(HEADER.part);
  // The server stores the headers of a batch: a batch without its last message was cut off by a power loss.
  const endsBatch = header.get("Nats-Batch-Id") === "" || header.get("Nats-Batch-Commit") !== "";
  const [copy, copies] = header.get(HEADER.copy).split("/");
  return {
    lsn: parseLsn(lsn),
    ordinal: Number(header.get(HEADER.ordinal)),
    isWhole: endsBatch && (part === "" || part === "last") && (copies === undefined || copy === copies),
  };
}
