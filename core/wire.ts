/**
 * What goes over the wire: headers of events and log chunks, bodies of events, notices and gateway verbs.
 * Field names inside events are Arvados' own.
 */

export const HEADER = {
  epoch: "Arvados-Epoch",
  /** The commit's end LSN, `16/B374D848`. */
  lsn: "Arvados-Lsn",
  /** Place of the event within its commit, from 0. */
  ordinal: "Arvados-Ordinal",
  /** `<LSN>:<ordinal>`: equal on all copies of one event. */
  eventId: "Arvados-Event-Id",
  /** Which copy of the event this is, from 0: an event is published once under each subject of its route. */
  copy: "Arvados-Copy",
  /** ISO 8601, UTC. */
  commitTime: "Arvados-Commit-Time",
  /** `<epoch>.<sequence>` of the graph by which the event was routed. */
  revision: "Arvados-Revision",
  /** On log chunks: offset in the file of the first byte. */
  logOffset: "Arvados-Log-Offset",
  /** On a gateway message that ends or reports on a stream of messages: a close code's name. */
  notice: "Arvados-Notice",
  error: "Nats-Service-Error",
  errorCode: "Nats-Service-Error-Code",
} as const;

export type RecordEvent = {
  /** `create`, `update`, `delete` as Arvados logs them; `left` = last event on a path the object has left; others are custom. */
  event_type: string;
  object_uuid: string;
  object_kind: string;
  object_owner_uuid: string | null;
  /** ISO 8601, UTC. */
  event_at: string;
  attributes: Record<string, unknown>;
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
/** `more`: n further messages may come. `stop`: the tail ends. Both answer `{}` where a reply is wanted. */
export type MoreRequest = { id: string; n: number };
export type StopRequest = { id: string };

/** What the callout says on `notice.<token>.<sid>` before it cuts, or after rights grew. */
export type Notice = {
  notice: string;
  code: number;
  reason: string;
  reconnect: boolean;
  revision: string;
};

/** Body of GET /.well-known/arvados-nats. */
export type WellKnown = {
  clusterId: string;
  websocketUrl: string;
  natsUrl: string | null;
  subjectPrefix: string;
  versions: { service: string; wire: number };
};
