/** What a new leader reads of GRAPHLOG: how to put the graph back, and how far PostgreSQL may have been told that all is stored. */
import { type JetStreamClient, type JetStreamManager, jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { type Lsn, parseLsn } from "../core/lsn.ts";
import type { Subjects } from "../core/subjects.ts";
import { type GraphLogEntry, GraphLogTail, type NewestOfGraph, type StoredPosition, upToOf } from "./graph-log.ts";
import { firstLate, lastMessageOn, readFrom, type StreamReader } from "./stored-messages.ts";

export type StoredGraphLog = Pick<GraphLogTail, "floor" | "upTo"> & {
  /** What must be put back, in the order of the log; null = the log cannot tell. */
  undo: GraphLogEntry[] | null;
  /** The last position that was said to be stored; null = none. */
  stored: Lsn | null;
};

/** @param target nothing of a commit behind this position shall be left in the graph */
export async function readGraphLog(
  core: NatsConnection,
  jsm: JetStreamManager,
  subjects: Subjects,
  { target, newest }: { target: Lsn; newest: NewestOfGraph | null },
): Promise<StoredGraphLog> {
  const reader: StreamReader = { js: jetstream(core) as JetStreamClient, jsm, stream: "GRAPHLOG" };
  const { state } = await jsm.streams.info(reader.stream);
  const ends = { first: state.first_seq, last: state.last_seq };
  const late = await firstLate(reader, ends, ({ header }) => (upToOf(header) ?? target + 1n) <= target);
  // From the last one on that is early enough: it vouches that nothing is missing behind it.
  const from = Math.max(ends.first, late - 1);
  const tail = new GraphLogTail(from, target, newest);
  if (state.messages > 0) {
    await readFrom(reader, from, (message) => {
      const isEntry = message.subject === subjects.graphLogCommit;
      tail.take(message.seq, upToOf(message.headers), isEntry ? message.json<GraphLogEntry>() : null);
    });
  }
  const stored = (await lastMessageOn(reader, subjects.graphLogStored))?.json<StoredPosition>() ?? null;
  return {
    floor: tail.floor,
    upTo: tail.upTo,
    undo: tail.undo(ends),
    stored: stored && parseLsn(stored.lsn),
  };
}
