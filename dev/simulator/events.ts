/** Log rows that are no change of an object: what users and services may write into the audit log, and what a hostile one can. */
import { actorOf, type By } from "./actor.ts";
import { insertLog, type LogEntry } from "./audit-log.ts";
import type { Transaction } from "./transaction.ts";

type ForgedLog = By & {
  /** Anything at all: a uuid of somebody else's object, nonsense, null. */
  objectUuid: string | null;
  objectOwnerUuid?: string | null;
  /** Default `update`. */
  eventType?: string;
  summary?: string;
  /** An object, or text that is put in as it is (valid JSON or not). */
  properties?: Record<string, unknown> | string;
};

/**
 * What any token holder may do with a POST to logs: a row with any object, event type, owner and properties. It is notified like a
 * real one, and nothing tells it apart.
 */
export async function insertForgedLog(tx: Transaction, forged: ForgedLog): Promise<LogEntry> {
  const { properties = {} } = forged;
  return insertLog(
    tx,
    {
      object_uuid: forged.objectUuid,
      object_owner_uuid: forged.objectOwnerUuid ?? null,
      event_type: forged.eventType ?? "update",
      summary: forged.summary ?? null,
      properties: typeof properties === "string" ? properties : JSON.stringify(properties),
    },
    actorOf(tx, forged),
  );
}

/** `activity` of a user: a raw INSERT by the controller, without NOTIFY. */
export async function logActivity(tx: Transaction, user: string): Promise<LogEntry> {
  const { rootUser } = tx.known;
  const values = { object_uuid: user, object_owner_uuid: rootUser, event_type: "activity", properties: "{}" };
  return insertLog(tx, values, rootUser, false);
}

/** A download through keep-web: about the *user* who did it. */
export async function logDownload(
  tx: Transaction,
  user: string,
  file: { collection: string; portableDataHash: string; path: string },
): Promise<LogEntry> {
  const properties = {
    reqPath: `/c=${file.collection}/${file.path}`,
    collection_uuid: file.collection,
    collection_file_path: file.path,
    portable_data_hash: file.portableDataHash,
  };
  const about = { object_uuid: user, object_owner_uuid: tx.known.rootUser };
  return insertLog(tx, { ...about, event_type: "file_download", properties: JSON.stringify(properties) }, user);
}
