/**
 * Judges what clients of many users saw, by the order in which PostgreSQL committed. Pure.
 *
 * - `leaked`: an event of a commit as of which its user might not read the object (Arvados' rules, after that commit). While records
 *   wait for a removal logins continue, so one later than a commit may be shown it under the rights at that moment, as by history: to the
 *   object, or to an owner or a role that the subject names. So no leak where the user came to such a right after the commit and
 *   before the session's login had ended. What a session gets that is older than the commit is judged by the commit alone. But where
 *   the head of a permission link lives is looked up when the link's event is routed, which may be after it has moved: so such an
 *   event may reach those who may read it as of a later commit, if only it was heard after that one.
 * - `missed`, `torn` (some of a commit came, not all): live may lose what is published while a client is away, so each session is
 *   judged from the first event of its own marker on: a collection of its user's that is changed again and again once the server
 *   has answered after the subscriptions, until an event about it comes; on several servers too that proves the subscriptions. It is
 *   judged up to the last event it got: a cut may lose what is under way. Between the two, every message of RECORDS that one of
 *   its subscriptions matches has come. At a round's end every session that lives gets its marker once more, after all else.
 * - `withheld`: at a round's end nobody writes, and every session has what `whoami` grants; then each object is changed once: whoever
 *   may read it has heard of it.
 * - `repeated`: twice by one subscription. `out of order`: by sequence in RECORDS, or by commit.
 */
import { matches } from "../../core/match.ts";
import type { History, LoggedEvent } from "./history.ts";

/** A message as it came, or as RECORDS holds it (its subject as published live). */
export type Heard = { subject: string; sequence: number; lsn: bigint; eventId: string; object: string; type: string };

/** `at`: UTC ms. */
export type HeardLive = Heard & { at: number };

export type RecordedSession = {
  user: string;
  name: string;
  /** UTC ms: the login had ended. */
  opened: number;
  patterns: string[];
  /** The commit of the marker's first event; null = none has come. */
  since: bigint | null;
  heard: (HeardLive & { pattern: string })[];
  lives: boolean;
  /** It logs in again at a notice that its rights grew: at a round's end it has the grants of that moment. */
  heeds: boolean;
};

export type BarrierFinding = {
  what: "leaked" | "missed" | "torn" | "withheld" | "repeated" | "out of order" | "foreign";
  detail: string;
};

export type CheckedRound = {
  sessions: readonly RecordedSession[];
  /** RECORDS since the round before. */
  records: readonly Heard[];
  /** Between these positions nobody wrote but to change each object once. */
  quiet: { from: bigint; to: bigint };
};

export function checkRound(history: History, round: CheckedRound): BarrierFinding[] {
  return [
    ...round.sessions.flatMap((session) => [
      ...leaked(history, session),
      ...disordered(session),
      ...missed(session, round.records),
    ]),
    ...withheld(history, round),
  ];
}

function leaked(history: History, { user, name, opened, heard }: RecordedSession): BarrierFinding[] {
  return heard.flatMap((event): BarrierFinding[] => {
    const detail = `${name}: ${event.type} ${event.subject} ${event.eventId} by ${event.pattern}`;
    const place = history.place(event.lsn);
    if (place === undefined) return [{ what: "foreign", detail }];
    if (history.mayRead(user, event, place) || history.cameToRead(user, event, place, opened)) return [];
    if (isOfLink(event) && history.mightReadSoon(user, event, place, event.at)) return [];
    return [{ what: "leaked", detail }];
  });
}

function disordered({ name, heard }: RecordedSession): BarrierFinding[] {
  const findings: BarrierFinding[] = [];
  const seen = new Set<string>();
  let last = { sequence: 0, lsn: 0n };
  for (const { sequence, lsn, pattern, eventId } of heard) {
    const key = `${pattern} ${sequence}`;
    if (seen.has(key)) findings.push({ what: "repeated", detail: `${name}: ${eventId} by ${pattern}` });
    seen.add(key);
    if (sequence < last.sequence || lsn < last.lsn)
      findings.push({ what: "out of order", detail: `${name}: ${eventId} after ${last.sequence}` });
    last = { sequence, lsn };
  }
  return findings;
}

function missed({ name, patterns, since, heard }: RecordedSession, records: readonly Heard[]): BarrierFinding[] {
  if (since === null) return [];
  const got = new Set(heard.map(({ sequence }) => sequence));
  const commits = new Set(heard.map(({ lsn }) => lsn));
  const end = heard.at(-1)?.sequence ?? 0;
  return records
    .filter(({ sequence, lsn, subject }) => {
      const isDue = lsn > since && sequence <= end && !got.has(sequence);
      return isDue && patterns.some((pattern) => matches(pattern, subject));
    })
    .map(({ lsn, subject, eventId }) => ({
      what: commits.has(lsn) ? "torn" : "missed",
      detail: `${name}: ${eventId} on ${subject}`,
    }));
}

function withheld(history: History, { sessions, quiet }: CheckedRound): BarrierFinding[] {
  const findings: BarrierFinding[] = [];
  const living = sessions.filter(({ lives, heeds }) => lives && heeds);
  for (const [place, { lsn, logged }] of history.commits.entries()) {
    if (lsn <= quiet.from || lsn > quiet.to) continue;
    for (const session of living) {
      for (const event of logged) {
        if (!history.mayRead(session.user, event, place)) continue;
        const came = session.heard.some((heard) => heard.lsn === lsn && isSame(heard, event));
        if (!came) findings.push({ what: "withheld", detail: `${session.name}: ${event.type} of ${event.object}` });
      }
    }
  }
  return findings;
}

function isOfLink({ subject, type }: Heard): boolean {
  return subject.endsWith(".links") && type !== "delete";
}

function isSame(a: LoggedEvent, b: LoggedEvent): boolean {
  return a.object === b.object && a.type === b.type;
}
