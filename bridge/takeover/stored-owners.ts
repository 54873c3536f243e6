/** Where RECORDS last heard of objects: the owner in the subject of the last event about each. */
import type { JetStreamManager } from "@nats-io/jetstream";
import { atDepth, objectName } from "../../core/routes.ts";
import { objectOfRecord, type Subjects } from "../../core/subjects.ts";
import { resourceOf } from "../../core/uuid.ts";

/** Projects above an object, up to which it is looked for. */
const DEPTH = 12;
/** nats-server answers with at most 1,024 messages; an object stands under a handful of subjects. */
const BATCH = 10;

/** By uuid: the owner. Objects of which nothing is stored, or whose last word is that they left, are missing. */
export async function lookUpPlaces(
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
