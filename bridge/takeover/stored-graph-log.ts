/** What a new leader reads of GRAPHLOG: how to put the graph back, and how far PostgreSQL may have been told that all is stored. */
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
  /** Null: the log cannot tell. */
  undo: Undo | null;
  /** Nothing that GRAPH has held is of a commit behind this one. */
  upTo: Lsn;
  /** The last position that was said to be stored; null = none. */
  saidStored: Lsn | null;
  /** The last commit that handling failed at. */
  trouble: HandlingFailure | null;
};

/** @param target nothing of a commit behind this position shall be left in the graph */
export async function readGraphLog(
  core: NatsConnection,
  jsm: JetStreamManager,
  subjects: Subjects,
  { target, newest }: { target: Lsn; newest: NewestOfGraph | null },
): Promise<StoredGraphLog> {
  const reader: StreamReader = { js: jetstream(core), jsm, stream: "GRAPHLOG" };
  if (newest === null) return { undo: null, upTo: 0n, saidStored: null, trouble: null };
  const { state } = await jsm.streams.info(reader.stream);
  const ends = { first: state.first_seq, last: state.last_seq };
  const late = await firstLate(reader, ends, ({ header }) => (upToOf(header) ?? target + 1n) <= target);
  // From the last one on that is early enough: it vouches that nothing is missing behind it.
  const from = Math.max(ends.first, late - 1);
  const tail = new GraphLogReader(from, target);
  await readFrom(reader, { from, last: ends.last }, (message) => {
    const isEntry = message.subject === subjects.graphLogCommit;
    const entry = isEntry ? parseGraphLogEntry(message.string()) : null;
    // What cannot be read is as good as missing.
    if (!isEntry || entry) tail.add(message.seq, upToOf(message.headers), entry);
  });
  const said = (await lastMessageOn(reader, subjects.graphLogStored))?.json<StoredPosition>();
  const trouble = (await lastMessageOn(reader, subjects.graphLogTrouble))?.json<HandlingFailure>() ?? null;
  const at = newest.log === null ? null : await messageAt(reader, newest.log);
  const named = at?.subject === subjects.graphLogCommit ? parseGraphLogEntry(at.string()) : null;
  return {
    undo: tail.undo(newest, named, ends),
    upTo: laterLsn(tail.upTo, newest.lsn),
    saidStored: said ? parseLsn(said.lsn) : null,
    trouble,
  };
}
