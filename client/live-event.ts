/**
 * Reads messages on `live` subjects: which ones are events, and which events were seen already.
 */
import { keepNewest } from "../core/keep-newest.ts";
import { HEADER, type RecordEvent } from "../core/wire/wire.ts";
import { header, type MsgLike } from "./nats-like.ts";

export type LiveEvent = {
  /** Equal on all copies of one event. */
  id: string;
  subject: string;
  /** Sequence in RECORDS. */
  sequence: number;
  epoch: string | null;
  revision: string | null;
  /** ISO 8601, UTC: when PostgreSQL committed it. */
  commitTime: string | null;
  event: RecordEvent;
};

/**
 * The event in a message, or null. Only messages that the server republished from RECORDS count: another client might cause a reply or
 * an acknowledgement on a `live` subject, but it cannot add the stream's headers.
 */
export function readEvent(msg: MsgLike): LiveEvent | null {
  if (header(msg, "Nats-Stream") !== "RECORDS") return null;
  const sequence = Number(header(msg, "Nats-Sequence") ?? Number.NaN);
  if (!Number.isSafeInteger(sequence) || sequence < 1) return null;
  let event: unknown;
  try {
    event = JSON.parse(new TextDecoder().decode(msg.data));
  } catch {
    return null;
  }
  if (!isRecordEvent(event)) return null;
  return {
    id: header(msg, HEADER.eventId) ?? `#${sequence}`,
    subject: msg.subject,
    sequence,
    epoch: header(msg, HEADER.epoch),
    revision: header(msg, HEADER.revision),
    commitTime: header(msg, HEADER.commitTime),
    event,
  };
}

function isRecordEvent(value: unknown): value is RecordEvent {
  if (typeof value !== "object" || value === null) return false;
  const event = value as Record<string, unknown>;
  return typeof event.event_type === "string" && typeof event.object_uuid === "string";
}

/** Remembers the last `limit` ids. All copies of an event belong to one commit, so few are enough. */
export function createSeen(limit = 4_096): { firstTime(id: string): boolean } {
  const ids = new Map<string, true>();
  return {
    firstTime(id) {
      if (ids.has(id)) return false;
      keepNewest(ids, limit, id, true);
      return true;
    },
  };
}
