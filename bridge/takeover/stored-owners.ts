/** The owners that objects had last by RECORDS: the owner in the subject of the last event about each. */
import type { JetStreamManager } from "@nats-io/jetstream";
import { atDepth, objectName } from "../../core/routes.ts";
import { objectOfRecord, type Subjects } from "../../core/subjects.ts";
import { resourceOf } from "../../core/uuid.ts";

/** An object is found below at most so many owners. */
const DEPTH = 12;
/** nats-server answers with at most 1,024 messages; an object has a handful of subjects. */
const BATCH = 10;

/**
 * Which events a term may believe: those up to the last event before a gap, and its own. Events between them are of commits that come again,
 * so for a commit that is routed now they are of the future.
 */
export type BelievedEvents = { upTo: number; since: number };

type LastEvent = { seq: number; owner: string | null };

/** Owners by uuid. An object without a stored event, or whose last event is `left`, is missing. */
export async function lookUpLastOwners(
  jsm: JetStreamManager,
  subjects: Subjects,
  uuids: readonly string[],
  { upTo, since }: BelievedEvents,
): Promise<Map<string, string>> {
  const last = new Map<string, LastEvent>();
  const hidden = new Set<string>();
  const note = (uuid: string, event: LastEvent) => {
    if ((last.get(uuid)?.seq ?? 0) < event.seq) last.set(uuid, event);
  };
  for await (const [uuid, event] of lastEvents(jsm, subjects, uuids)) {
    if (event.seq <= upTo || event.seq > since) note(uuid, event);
    else hidden.add(uuid);
  }
  // An event that counts may stand on the same subject before one that does not.
  const again = [...hidden].filter((uuid) => (last.get(uuid)?.seq ?? 0) <= since);
  if (upTo > 0) for await (const [uuid, event] of lastEvents(jsm, subjects, again, upTo)) note(uuid, event);
  const found = new Map<string, string>();
  for (const [uuid, { owner }] of last) if (owner !== null) found.set(uuid, owner);
  return found;
}

/** The last event on each subject of these objects, up to a sequence. */
async function* lastEvents(
  jsm: JetStreamManager,
  subjects: Subjects,
  uuids: readonly string[],
  upTo?: number,
): AsyncGenerator<[uuid: string, event: LastEvent]> {
  for (let at = 0; at < uuids.length; at += BATCH) {
    const multi_last = uuids.slice(at, at + BATCH).flatMap((uuid) => patternsOf(subjects, uuid));
    const query = { multi_last, ...(upTo === undefined ? {} : { up_to_seq: upTo }) };
    for await (const message of await jsm.direct.getLastMessagesFor("RECORDS", query)) {
      const { owner, uuid } = objectOfRecord(message.subject);
      const left = message.json<{ event_type?: unknown }>().event_type === "left";
      yield [uuid, { seq: message.seq, owner: left ? null : owner }];
    }
  }
}

function patternsOf(subjects: Subjects, uuid: string): string[] {
  const name = objectName(uuid, String(resourceOf(uuid)));
  return Array.from({ length: DEPTH }, (_, depth) => subjects.record(atDepth("", depth + 1, name)));
}
