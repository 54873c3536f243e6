/** The owners that objects had before a commit by RECORDS: the owner in the subject of the last event about each. */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { Lsn } from "../../core/lsn.ts";
import { atDepth, objectName } from "../../core/routes.ts";
import { objectOfRecord, type Subjects } from "../../core/subjects.ts";
import { resourceOf } from "../../core/uuid.ts";
import { positionOf } from "./stored-records.ts";

/** An object is found below at most so many owners. */
const DEPTH = 12;
/** nats-server answers with at most 1,024 messages; an object has a handful of subjects. */
const BATCH = 10;
/** So many later events of one subject are passed over; behind more the owner is unknown. */
const MOST_LATER = 16;

/** `owner` null: the object left this owner. */
type StoredOwner = { subject: string; uuid: string; seq: number; lsn: Lsn; owner: string | null };

/**
 * Owners by uuid. An object without an earlier event, or whose last one is `left`, is missing.
 * @param before only events of commits before this position count. A commit that is repeated after a loss finds later ones in RECORDS
 */
export async function lookUpLastOwners(
  jsm: JetStreamManager,
  subjects: Subjects,
  uuids: readonly string[],
  before: Lsn,
): Promise<Map<string, string>> {
  const last = new Map<string, StoredOwner>();
  for (let at = 0; at < uuids.length; at += BATCH) {
    const patterns = uuids.slice(at, at + BATCH).flatMap((uuid) => patternsOf(subjects, uuid));
    for (const stored of await lastEvents(jsm, patterns)) {
      const event = await earlier(jsm, stored, before);
      if (event && isAfter(event, last.get(event.uuid))) last.set(event.uuid, event);
    }
  }
  const found = new Map<string, string>();
  for (const [uuid, { owner }] of last) if (owner !== null) found.set(uuid, owner);
  return found;
}

/** This event, or the last one before it on the same subject that counts. */
async function earlier(jsm: JetStreamManager, stored: StoredOwner, before: Lsn): Promise<StoredOwner | null> {
  let event: StoredOwner | undefined = stored;
  for (let passed = 0; event && event.lsn >= before; passed++) {
    if (passed === MOST_LATER || event.seq === 1) return null;
    [event] = await lastEvents(jsm, [event.subject], event.seq - 1);
  }
  return event ?? null;
}

function isAfter({ lsn, seq }: StoredOwner, other: StoredOwner | undefined): boolean {
  return other === undefined || lsn > other.lsn || (lsn === other.lsn && seq > other.seq);
}

/** The last event on each subject that matches, up to a sequence. */
async function lastEvents(jsm: JetStreamManager, patterns: string[], upTo?: number): Promise<StoredOwner[]> {
  const query = { multi_last: patterns, ...(upTo === undefined ? {} : { up_to_seq: upTo }) };
  const events: StoredOwner[] = [];
  for await (const message of await jsm.direct.getLastMessagesFor("RECORDS", query)) {
    const position = positionOf(message.header);
    if (!position) continue;
    const { subject, seq } = message;
    const { owner, uuid } = objectOfRecord(subject);
    const left = message.json<{ event_type?: unknown }>().event_type === "left";
    events.push({ subject, uuid, seq, lsn: position.lsn, owner: left ? null : owner });
  }
  return events;
}

function patternsOf(subjects: Subjects, uuid: string): string[] {
  const name = objectName(uuid, String(resourceOf(uuid)));
  return Array.from({ length: DEPTH }, (_, depth) => subjects.record(atDepth("", depth + 1, name)));
}
