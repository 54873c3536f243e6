/** What RECORDS holds, read back for the checker, and a reader that was there all the time. */
import { type JsMsg, jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import type { Subjects } from "../../core/subjects.ts";
import { HEADER, type LeaderEntry, type RecordEvent } from "../../core/wire/wire.ts";
import { followStream } from "../../runtime/nats/stream-follower.ts";
import type { Lead, Stored } from "./checker.ts";

/** What was asked when the server was killed is not answered: it is asked again sooner than the library would. */
const ASKING = { timeout: 1_000 };

/** From the first message on, without the leaders' entries. */
export async function readStored(nc: NatsConnection, subjects: Subjects): Promise<Stored[]> {
  return readAll(nc, subjects.recordsAll, storedOf);
}

/** The last message; null where there is none. */
export async function lastStored(
  nc: NatsConnection,
  subjects: Subjects,
): Promise<{ lsn: string; part: string } | null> {
  const jsm = await jetstreamManager(nc, ASKING);
  const found = await jsm.streams.getMessage("RECORDS", { last_by_subj: subjects.recordsAll });
  return found && { lsn: found.header.get(HEADER.lsn), part: found.header.get(HEADER.part) };
}

export async function readLeads(nc: NatsConnection, subjects: Subjects): Promise<Lead[]> {
  return readAll(nc, subjects.recordsLeader, (message) => ({ ...message.json<LeaderEntry>(), sequence: message.seq }));
}

/** Stops at the end of the block. */
export type Reader = AsyncDisposable & {
  /** All that it was given, again after each loss. */
  seen: Stored[];
};

/** Follows RECORDS over any disturbance, as a consumer of the product would. */
export async function followStored(nc: NatsConnection, subjects: Subjects): Promise<Reader> {
  const seen: Stored[] = [];
  const follower = followStream({
    js: jetstream(nc),
    jsm: await jetstreamManager(nc),
    stream: "RECORDS",
    filter: subjects.recordsAll,
    nc,
    onMessage: (message) => seen.push(storedOf(message)),
  });
  return { seen, [Symbol.asyncDispose]: () => follower.stop() };
}

async function readAll<T>(nc: NatsConnection, filter: string, read: (message: JsMsg) => T): Promise<T[]> {
  const all: T[] = [];
  const consumer = await jetstream(nc, ASKING).consumers.get("RECORDS", { filter_subjects: filter });
  for (let left = (await consumer.info()).num_pending; left > 0; ) {
    const before = left;
    for await (const message of await consumer.fetch({ max_messages: Math.min(left, 5_000), expires: 5_000 })) {
      left--;
      all.push(read(message));
    }
    // The server counts what it cannot give: its index is newer than its messages.
    if (left === before) break;
  }
  return all;
}

function storedOf(message: JsMsg): Stored {
  const header = (name: string) => message.headers?.get(name) ?? "";
  const { object_uuid, event_type } = message.json<RecordEvent>();
  return {
    sequence: message.seq,
    subject: message.subject,
    epoch: Number(header(HEADER.epoch)),
    lsn: header(HEADER.lsn),
    eventId: header(HEADER.eventId),
    part: header(HEADER.part),
    object: object_uuid,
    type: event_type,
  };
}
