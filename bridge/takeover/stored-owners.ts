/** The owners that objects had last by RECORDS: the owner in the subject of the last event about each. */
import type { JetStreamManager } from "@nats-io/jetstream";
import { atDepth, objectName } from "../../core/routes.ts";
import { objectOfRecord, type Subjects } from "../../core/subjects.ts";
import { resourceOf } from "../../core/uuid.ts";

/** An object is found below at most so many owners. */
const DEPTH = 12;
/** nats-server answers with at most 1,024 messages; an object has a handful of subjects. */
const BATCH = 10;

/** Owners by uuid. An object without a stored event, or whose last event is `left`, is missing. */
export async function lookUpLastOwners(
  jsm: JetStreamManager,
  subjects: Subjects,
  uuids: readonly string[],
): Promise<Map<string, string>> {
  const last = new Map<string, { seq: number; owner: string | null }>();
  for (let at = 0; at < uuids.length; at += BATCH) {
    const batch = uuids.slice(at, at + BATCH);
    const multi_last = batch.flatMap((uuid) => patternsOf(subjects, uuid));
    for await (const message of await jsm.direct.getLastMessagesFor("RECORDS", { multi_last })) {
      const { owner, uuid } = objectOfRecord(message.subject);
      if ((last.get(uuid)?.seq ?? 0) >= message.seq) continue;
      const left = message.json<{ event_type?: unknown }>().event_type === "left";
      last.set(uuid, { seq: message.seq, owner: left ? null : owner });
    }
  }
  const found = new Map<string, string>();
  for (const [uuid, { owner }] of last) if (owner !== null) found.set(uuid, owner);
  return found;
}

function patternsOf(subjects: Subjects, uuid: string): string[] {
  const name = objectName(uuid, String(resourceOf(uuid)));
  return Array.from({ length: DEPTH }, (_, depth) => subjects.record(atDepth("", depth + 1, name)));
}
