/**
 * Every NATS subject of the product, made in one place. `tail` below = what follows `rec.` or `live.`:
 * `<owner path>.<uuid>.<resource>`, made by the permission graph (`core/graph/`).
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
export function logFileTokens(file: string): string {
  const parts = file.split(".");
  return parts.some((part) => part === "") ? subjectToken(file) : parts.map(subjectToken).join(".");
}

/** The file name that `logFileTokens` encoded. */
export function logFileName(tokens: string): string {
  return tokens === "%" ? "" : decodeURIComponent(tokens);
}

/** The container and file of a log's subject; null for any other subject. */
export function logOfSubject(root: string, subject: string): { container: string; file: string } | null {
  const start = `${root}.log.`;
  const dot = subject.indexOf(".", start.length);
  if (!subject.startsWith(start) || dot < 0) return null;
  try {
    return { container: subject.slice(start.length, dot), file: logFileName(subject.slice(dot + 1)) };
  } catch {
    return null;
  }
}

/** Can a message be published there? A token that is empty or a wildcard makes nats-server refuse it, or mean more than one subject. */
function isLiteral(subject: string): boolean {
  return !/\s/.test(subject) && subject.split(".").every((token) => token !== "" && token !== "*" && token !== ">");
}

/** `<token>.<sid>`: what everything private to a session hangs on. */
export type SessionKey = { sessionToken: string; sid: string };

export function formatSessionKey({ sessionToken: token, sid }: SessionKey): string {
  return `${token}.${sid}`;
}

/** `sys.<service>.<host>.<level>`: what a service has subjects for on one host. */
export const SYSLOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"] as const;

/** What a session may ask the gateway. */
export const VERBS = ["whoami", "tail", "more", "stop"] as const;
export type Verb = (typeof VERBS)[number];

export function subjectsOf(clusterId: string) {
  const root = `arvados.${clusterId}`;
  const session = formatSessionKey;
  return {
    root,
    record: (tail: string) => `${root}.rec.${tail}`,
    live: (tail: string) => `${root}.live.${tail}`,
    resync: `${root}.live.@resync`,
    moved: (uuid: string) => `${root}.moved.${subjectToken(uuid)}`,
    /** In RECORDS and GRAPH: a bridge takes the lead. */
    recordsLeader: `${root}.moved.@leader`,
    graphLeader: `${root}.graph.leader`,
    recordsAll: `${root}.rec.>`,
    queueAll: `${root}.queue.>`,
    queue: (container: string) => `${root}.queue.${subjectToken(container)}`,
    log: (container: string, file: string) => `${root}.log.${subjectToken(container)}.${logFileTokens(file)}`,
    logAll: `${root}.log.>`,
    /** Core NATS, not stored: which logs the gateways' clients follow. */
    tailed: `${root}.tailed`,
    api: (key: SessionKey, verb: Verb) => `${root}.api.${session(key)}.${verb}`,
    /** Where the gateway listens: every session's every verb. */
    apiAll: `${root}.api.*.*.*`,
    notice: (key: SessionKey) => `${root}.notice.${session(key)}`,
    noticesAll: `${root}.notice.*.*`,
    inbox: (key: SessionKey) => `_INBOX.${session(key)}.>`,
    inboxPrefix: (key: SessionKey) => `_INBOX.${session(key)}`,
    /** May an answer go there: is it a literal subject in the session's inbox? nats-server lets any text pass as a reply. */
    isReplyOf: (key: SessionKey, reply: string) => reply.startsWith(`_INBOX.${session(key)}.`) && isLiteral(reply),
    graph: (kind: string, uuid: string) => `${root}.graph.${kind}.${subjectToken(uuid)}`,
    graphCommit: `${root}.graph.commit`,
    graphAll: `${root}.graph.>`,
    /** In GRAPHLOG: what each commit replaced, how far everything is stored, where handling failed, and a bridge takes the lead. */
    graphLogCommit: `${root}.graphlog.commit`,
    graphLogStored: `${root}.graphlog.stored`,
    graphLogTrouble: `${root}.graphlog.trouble`,
    graphLogLeader: `${root}.graphlog.leader`,
    graphLogAll: `${root}.graphlog.>`,
    sysAll: `${root}.sys.>`,
    /** Core NATS, not stored, between services: where an anonymous session came from, whose session has ended, who floods the gateway. */
    sessionPlace: `${root}.sessions.place`,
    sessionEnded: `${root}.sessions.ended`,
    sessionFlood: `${root}.sessions.flood`,
    /** Core NATS, not stored: the bridge's staleness clock. */
    graphBeat: `${root}.beat`,
    barrierMark: `${root}.barrier.mark`,
    barrierCut: `${root}.barrier.cut`,
    barrierLease: (replica: string) => `${root}.barrier.lease.${subjectToken(replica)}`,
    barrierSettled: (replica: string) => `${root}.barrier.settled.${subjectToken(replica)}`,
    barrierAlias: (session: string) => `${root}.barrier.alias.${subjectToken(session)}`,
    barrierAliases: `${root}.barrier.alias.>`,
    barrierServer: (name: string) => `${root}.barrier.server.${subjectToken(name)}`,
  };
}

export type Subjects = ReturnType<typeof subjectsOf>;
