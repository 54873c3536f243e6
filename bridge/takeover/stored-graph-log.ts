/** Reads GRAPHLOG for a new leader: how to put the graph back, and up to which position everything is stored. `take-over.ts` calls it. */
import { type JetStreamManager, jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { type Lsn, laterLsn, parseLsn } from "../../core/lsn.ts";
import type { Subjects } from "../../core/subjects.ts";
import {
  GraphLogReader,
  type NewestOfGraph,
  parseGraphLogEntry,
  type StoredPosition,
  type Undo,
  upToOf,
} from "../streams/graph-log.ts";
import type { HandlingFailure } from "../streams/handling-failure.ts";
import { firstLate, lastMessageOn, messageAt, readFrom, type StreamReader } from "./stored-messages.ts";

export type StoredGraphLog = {
  /** Null: the log does not reach far enough, or has a gap. */
  undo: Undo | null;
  /** GRAPH has held nothing of a later commit. */
  upTo: Lsn;
  /** The last `graphlog.stored`: all streams hold everything up to here; null = there is none. */
  declaredStored: Lsn | null;
  /** The last commit at which handling failed. */
  failure: HandlingFailure | null;
};

/** @param target position up to which the graph must be put back */
export async function readGraphLog(
  core: NatsConnection,
  jsm: JetStreamManager,
  subjects: Subjects,
  { target, newest }: { target: Lsn; newest: NewestOfGraph | null },
): Promise<StoredGraphLog> {
  const reader: StreamReader = { js: jetstream(core), jsm, stream: "GRAPHLOG" };
  if (newest === null) return { undo: null, upTo: 0n, declaredStored: null, failure: null };
  const { state } = await jsm.streams.info(reader.stream);
  const ends = { first: state.first_seq, last: state.last_seq };
  const late = await firstLate(reader, ends, ({ header }) => (upToOf(header) ?? target + 1n) <= target);
  // From the last early one: it proves that nothing is missing after it.
  const from = Math.max(ends.first, late - 1);
  const log = new GraphLogReader(from, target);
  await readFrom(reader, { from, last: ends.last }, (message) => {
    const isEntry = message.subject === subjects.graphLogCommit;
    const entry = isEntry ? parseGraphLogEntry(message.string()) : null;
    // An entry that cannot be read counts as missing.
    if (!isEntry || entry) log.add(message.seq, upToOf(message.headers), entry);
  });
  const stored = (await lastMessageOn(reader, subjects.graphLogStored))?.json<StoredPosition>();
  const failure = (await lastMessageOn(reader, subjects.graphLogTrouble))?.json<HandlingFailure>() ?? null;
  const at = newest.log === null ? null : await messageAt(reader, newest.log);
  const named = at?.subject === subjects.graphLogCommit ? parseGraphLogEntry(at.string()) : null;
  return {
    undo: log.undo(newest, named, ends),
    upTo: laterLsn(log.upTo, newest.lsn),
    declaredStored: stored ? parseLsn(stored.lsn) : null,
    failure,
  };
}
