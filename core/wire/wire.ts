/**
 * The wire format: headers of events and log chunks, bodies of events, notices and gateway verbs.
 * Field names inside events are Arvados' own.
 */

export const HEADER = {
  epoch: "Arvados-Epoch",
  /** The commit's end LSN, `16/B374D848`. */
  lsn: "Arvados-Lsn",
  /** Order of the event within its commit: grows, not by one each. */
  ordinal: "Arvados-Ordinal",
  /** `<LSN>:<ordinal>`: equal on all copies of one event. */
  eventId: "Arvados-Event-Id",
  /** On commits of more than 1,000 messages only: `1`, `2`, … and `last`. Smaller commits appear whole or not at all. */
  part: "Arvados-Part",
  /** On an event that its commit publishes under several subjects: `1/3`, `2/3`, `3/3`. Each copy is complete. */
  copy: "Arvados-Copy",
  /** ISO 8601, UTC. */
  commitTime: "Arvados-Commit-Time",
  /** `<epoch>.<sequence>` of the graph by which the event was routed. */
  revision: "Arvados-Revision",
  /** On log chunks: offset in the file of the first byte. */
  logOffset: "Arvados-Log-Offset",
  /** On chunks that the log follower copied: offset in LOGS at which the file as it was read begins. 0, unless the file began again. */
  logBase: "Arvados-Log-Base",
  /** On the last message of a log, which has no bytes: nothing follows. */
  logComplete: "Arvados-Log-Complete",
  /** On a gateway message that ends or reports on a stream of messages: a close code's name. */
  notice: "Arvados-Notice",
  error: "Nats-Service-Error",
  errorCode: "Nats-Service-Error-Code",
} as const;

export type RecordEvent = {
  /**
   * `create`, `update`, `delete` as Arvados logs them; `left` = last event on a path the object has left; `silent` = changed
   * without a log row; others are custom.
   */
  event_type: string;
  object_uuid: string;
  object_kind: string;
  object_owner_uuid: string | null;
  /** ISO 8601, UTC. */
  event_at: string;
  attributes: Record<string, unknown>;
  /** On custom events: any holder of a token may have written this, about any object. */
  untrusted?: true;
  /** On custom events, where they are not too long. */
  properties?: Record<string, unknown>;
};

/** Body of `moved.<uuid>`: where to continue backwards when an object's history is read. Null = unknown: history has a gap here. */
export type MovedEntry = { from: { subject: string; sequence: number } | null };

/**
 * Body of `moved.@leader` in RECORDS: written by a bridge before its first event. A higher epoch than the last one's says that the
 * stream may have a gap here; `since` is the sequence of the epoch's first entry.
 */
export type LeaderEntry = {
  epoch: number;
  since: number;
  /** Sequence of the last valid event before this epoch, after which this epoch begins; 0 = none. */
  resume: number;
  /** Why this epoch began. */
  reason: string;
  system: { id: string; timeline: number };
  /** Start of nats-server, by the id it gave itself. */
  server: string;
  /** Fingerprint of the catalogs by which PostgreSQL decodes commits; missing in older entries. */
  catalogs?: string;
};

/** Body of `whoami`'s answer. Subjects are in full. */
export type WhoamiAnswer = {
  user_uuid: string;
  token_uuid: string;
  session: string;
  grants: { subscribe: string[]; publish: string[] };
  revision: string;
  /** Last sequence of RECORDS: where to repair from after a reconnect. */
  records_sequence: number;
};

/**
 * Body of a `tail` request. The answers go to the request's reply subject, a subscription inside the session's inbox:
 * first `{id, offset}` (TailOpened), then raw bytes with `Arvados-Log-Offset`, at last an empty message with `Arvados-Notice`.
 */
export type TailRequest = {
  container: string;
  file: string;
  /** Byte offset, `start`, or `{last: N}` messages. Default `start`. */
  from?: number | "start" | { last: number };
  /** How many messages may be under way before the client sends `more`. Default 64, at most 1,024. */
  window?: number;
};
export type TailOpened = { id: string };
/** `more`: n further messages may come. `stop`: the tail ends. Both answer `{}` if the request has a reply subject. */
export type MoreRequest = { id: string; n: number };
export type StopRequest = { id: string };

/** Body of `tailed`: subjects of logs that clients of a gateway follow. One that is not repeated within `TAILED_LEASE_MS` has ended. */
export type Tailed = { subjects: string[] };
export const TAILED_REPEAT_MS = 5_000;
export const TAILED_LEASE_MS = 16_000;

/** What the callout publishes on `notice.<session token>.<sid>` before it cuts, or after rights grew. */
export type Notice = {
  notice: string;
  code: number;
  reason: string;
  reconnect: boolean;
  revision: string;
};

/** Body of `sessions.place`, from one authcallout to the others: the network that an anonymous session came from. */
export type SessionOrigin = { server: string; cid: number; network: string };
/** Body of `sessions.ended` (from authcallout to the gateways) and of `sessions.flood` (from a gateway to authcallout). */
export type SessionReport = { user: string; token: string; sid: string };

/** Body of GET /.well-known/arvados-nats. */
export type WellKnown = {
  clusterId: string;
  websocketUrl: string;
  natsUrl: string | null;
  subjectPrefix: string;
  versions: { service: string; wire: number };
};
