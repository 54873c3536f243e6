/**
 * Every NATS subject of the product, built and parsed here and nowhere else. All services, the client library and the console use it.
 * What follows `rec.` or `live.` is a route, which core/routes.ts builds and the permission graph chooses. Pure.
 */

const SAFE = /^[A-Za-z0-9_-]+$/;

/** One subject token for any text: bytes outside `[A-Za-z0-9_-]` are percent-encoded, so no value can add a token or a wildcard. */
export function subjectToken(text: string): string {
  if (SAFE.test(text)) return text;
  if (text === "") return "%";
  let out = "";
  for (const byte of new TextEncoder().encode(text)) {
    const char = String.fromCharCode(byte);
    out += SAFE.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out;
}

/**
 * A log file's name as it stands in a subject: `stdout.txt` spans two tokens. A dot that would make an empty token
 * (leading, trailing, doubled) is encoded like any other unsafe byte.
 */
function logFileTokens(file: string): string {
  const parts = file.split(".");
  return parts.some((part) => part === "") ? subjectToken(file) : parts.map(subjectToken).join(".");
}

/** The file name that `logFileTokens` encoded. */
function logFileName(tokens: string): string {
  return tokens === "%" ? "" : decodeURIComponent(tokens);
}

/** Can a message be published there? A token that is empty or a wildcard makes nats-server refuse it, or mean more than one subject. */
function isLiteral(subject: string): boolean {
  return !/\s/.test(subject) && subject.split(".").every((token) => token !== "" && token !== "*" && token !== ">");
}

/** What everything private to a session carries in its subjects. */
export type SessionKey = { sessionToken: string; sid: string };

/** `<session token>.<sid>`. */
export function formatSessionKey({ sessionToken, sid }: SessionKey): string {
  return `${sessionToken}.${sid}`;
}

export function parseSessionKey(text: string): SessionKey {
  const [sessionToken = "", sid = ""] = text.split(".");
  return { sessionToken, sid };
}

/** `sys.<service>.<host>.<level>`: the levels at which a service logs. */
export const SYSLOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"] as const;

/** What a session may ask the gateway. */
export const VERBS = ["whoami", "tail", "more", "stop"] as const;
export type Verb = (typeof VERBS)[number];

/** Every subject of every cluster. */
export const ALL_CLUSTERS = "arvados.>";

/** The inboxes of everybody in an account. */
export const ALL_INBOXES = "_INBOX.>";

/** A service's inbox prefix in every account: its only place for replies. */
export function serviceInbox(service: string): string {
  return `_INBOX.${service}`;
}

/** The route on which the gateway tells sessions that events were lost. Nothing publishes it yet: issue 17 does. */
export const RESYNC_ROUTE = "@resync";

/** The owner, if any, and the uuid of the object of an event, from a subject under `rec.` or `live.`. */
export function objectOfRecord(subject: string): { owner: string | null; uuid: string } {
  const tokens = subject.split(".");
  return { owner: tokens.at(-3) ?? null, uuid: tokens.at(-2) ?? "" };
}

/** The kind and the uuid, as a subject token, of a row in GRAPH; null for any other subject. */
export function rowOfGraph(subject: string): { kind: string; name: string } | null {
  const [, , part, kind, name, ...rest] = subject.split(".");
  return part === "graph" && kind !== undefined && name !== undefined && rest.length === 0 ? { kind, name } : null;
}

/** The text that `subjectToken` encoded; the token itself where it is no encoding. */
export function textOfToken(token: string): string {
  try {
    return token === "%" ? "" : decodeURIComponent(token);
  } catch {
    return token;
  }
}

export type Subjects = ReturnType<typeof subjectsOf>;

/** All subjects of one cluster. `...All` is a filter for everything under a word; `route` and `pattern` are those of core/routes.ts. */
export function subjectsOf(clusterId: string) {
  const root = `arvados.${clusterId}`;
  return {
    root,
    ...recordSubjects(root),
    ...graphSubjects(root),
    ...barrierSubjects(root),
    ...sessionSubjects(root),
    ...logSubjects(root),
  };
}

/** Streams RECORDS and QUEUE, and what RECORDS republishes. */
function recordSubjects(root: string) {
  return {
    record: (route: string) => `${root}.rec.${route}`,
    recordsAll: `${root}.rec.>`,
    live: (route: string) => `${root}.live.${route}`,
    liveAll: `${root}.live.>`,
    resync: `${root}.live.${RESYNC_ROUTE}`,
    /** Where an object moved from, so that history by uuid can follow it. Nothing reads it yet: issue 17 does. */
    moved: (uuid: string) => `${root}.moved.${subjectToken(uuid)}`,
    movedAll: `${root}.moved.>`,
    /** A bridge becomes the leader. */
    recordsLeader: `${root}.moved.@leader`,
    queue: (container: string) => `${root}.queue.${subjectToken(container)}`,
    queueAll: `${root}.queue.>`,
    /** The container of a queue entry. */
    queuedContainer: (subject: string) => textOfToken(subject.slice(`${root}.queue.`.length)),
  };
}

/** Streams GRAPH and GRAPHLOG, and the beat of the bridge, which is not stored. */
function graphSubjects(root: string) {
  return {
    graph: (kind: string, uuid: string) => `${root}.graph.${kind}.${subjectToken(uuid)}`,
    graphCommit: `${root}.graph.commit`,
    /** A bridge becomes the leader. */
    graphLeader: `${root}.graph.leader`,
    graphAll: `${root}.graph.>`,
    graphBeat: `${root}.beat`,
    /** What each commit replaced. */
    graphLogCommit: `${root}.graphlog.commit`,
    /** How far everything is stored. */
    graphLogStored: `${root}.graphlog.stored`,
    /** A commit that could not be handled. */
    graphLogTrouble: `${root}.graphlog.trouble`,
    graphLogLeader: `${root}.graphlog.leader`,
    graphLogAll: `${root}.graphlog.>`,
  };
}

/** Stream BARRIER. */
function barrierSubjects(root: string) {
  const barrier = `${root}.barrier`;
  return {
    barrierAll: `${barrier}.>`,
    barrierMark: `${barrier}.mark`,
    barrierCut: `${barrier}.cut`,
    barrierLease: (replica: string) => `${barrier}.lease.${subjectToken(replica)}`,
    barrierLeases: `${barrier}.lease.>`,
    barrierSettled: (replica: string) => `${barrier}.settled.${subjectToken(replica)}`,
    barrierAllSettled: `${barrier}.settled.>`,
    barrierAlias: (sessionToken: string) => `${barrier}.alias.${subjectToken(sessionToken)}`,
    barrierAliases: `${barrier}.alias.>`,
    barrierServer: (name: string) => `${barrier}.server.${subjectToken(name)}`,
    barrierServers: `${barrier}.server.>`,
  };
}

/** Core NATS, not stored: between a session and the services, and between services about sessions. */
function sessionSubjects(root: string) {
  const session = formatSessionKey;
  return {
    api: (key: SessionKey, verb: Verb) => `${root}.api.${session(key)}.${verb}`,
    apiAll: `${root}.api.>`,
    /** Where the gateway listens: every session's every verb. */
    apiRequests: `${root}.api.*.*.*`,
    /** Who asks what, from a subject that matches `apiRequests`. */
    parseApi(subject: string): { key: SessionKey; verb: string } {
      const [sessionToken = "", sid = "", verb = ""] = subject.slice(`${root}.api.`.length).split(".");
      return { key: { sessionToken, sid }, verb };
    },
    notice: (key: SessionKey) => `${root}.notice.${session(key)}`,
    noticeAll: `${root}.notice.>`,
    /** Every session's notices. */
    sessionNotices: `${root}.notice.*.*`,
    /** The session that a notice is for, from a subject that matches `sessionNotices`. */
    parseNotice: (subject: string): SessionKey => parseSessionKey(subject.slice(`${root}.notice.`.length)),
    inbox: (key: SessionKey) => `_INBOX.${session(key)}.>`,
    inboxPrefix: (key: SessionKey) => `_INBOX.${session(key)}`,
    /** May an answer go there: is it a literal subject in the session's inbox? nats-server lets any text pass as a reply. */
    isReplyOf: (key: SessionKey, reply: string) => reply.startsWith(`_INBOX.${session(key)}.`) && isLiteral(reply),
    /** Where an anonymous session came from. */
    sessionPlace: `${root}.sessions.place`,
    sessionEnded: `${root}.sessions.ended`,
    /** Whose sessions flood the gateway. */
    sessionFlood: `${root}.sessions.flood`,
  };
}

/** Streams LOGS and SYSLOG, and which logs are followed, which is not stored. */
function logSubjects(root: string) {
  return {
    log: (container: string, file: string) => `${root}.log.${subjectToken(container)}.${logFileTokens(file)}`,
    logAll: `${root}.log.>`,
    /** The container and the file of a log's subject; null for any other subject. */
    parseLog(subject: string): { container: string; file: string } | null {
      const start = `${root}.log.`;
      const dot = subject.indexOf(".", start.length);
      if (!subject.startsWith(start) || dot < 0) return null;
      try {
        return { container: subject.slice(start.length, dot), file: logFileName(subject.slice(dot + 1)) };
      } catch {
        return null;
      }
    },
    /** Which logs the gateways' clients follow. */
    tailed: `${root}.tailed`,
    /** `place`: `<service>.<host>`, or `*.*` for all of them. */
    sys: (place: string, level: (typeof SYSLOG_LEVELS)[number]) => `${root}.sys.${place}.${level}`,
    sysOf: (service: string) => `${root}.sys.${service}.>`,
    sysAll: `${root}.sys.>`,
  };
}
