/**
 * Compares what RECORDS holds with what was committed: each event once under each subject of its route, in commit order, whole commits.
 * Knows the places by itself: collections in projects that never move. Pure.
 */
import { parseLsn } from "../../core/lsn.ts";
import type { LeaderEntry } from "../../core/wire/wire.ts";
import type { TrueCommit } from "./commit-log.ts";

/** A message of RECORDS in sequence. */
export type Stored = {
  sequence: number;
  subject: string;
  epoch: number;
  lsn: string;
  eventId: string;
  part: string;
  object: string;
  type: string;
};

/** A leader's entry, and its sequence. */
export type Lead = LeaderEntry & { sequence: number };

/** Owner uuid -> the subject tokens of its path, for projects whose content is checked. */
export type Places = ReadonlyMap<string, string>;

export type StreamFinding = { what: "missing" | "repeated" | "foreign" | "out of order" | "torn"; detail: string };

type Expected = { subject: string; type: string };

export function checkStreams(
  commits: readonly TrueCommit[],
  stored: readonly Stored[],
  places: Places,
  prefix: string,
): StreamFinding[] {
  const findings: StreamFinding[] = [];
  const order = new Map(commits.map(({ lsn }, index) => [lsn, index]));
  const byCommit = new Map<string, Stored[]>();
  let last = -1;
  for (const [index, message] of stored.entries()) {
    const place = order.get(message.lsn);
    if (place === undefined) {
      findings.push({ what: "foreign", detail: `${message.eventId} of no commit, at ${message.sequence}` });
      continue;
    }
    if (place < last) findings.push({ what: "out of order", detail: `${message.eventId} at ${message.sequence}` });
    if (place === last && stored[index - 1]?.lsn !== message.lsn) {
      findings.push({ what: "torn", detail: `${message.eventId} at ${message.sequence}` });
    }
    last = Math.max(last, place);
    const messages = byCommit.get(message.lsn) ?? [];
    if (messages.length === 0) byCommit.set(message.lsn, messages);
    messages.push(message);
  }
  const lastHeard: LastHeard = new Map();
  for (const commit of commits) {
    findings.push(...checkCommit(commit, byCommit.get(commit.lsn) ?? [], places, prefix, lastHeard));
  }
  return findings;
}

/**
 * What a reader has that goes by event id: of each event under each subject the first that came, in whatever epoch.
 * In the order of positions, since what had gone missing comes late.
 */
export function byEventId(seen: readonly Stored[]): Stored[] {
  const first = new Map<string, Stored>();
  for (const message of seen) {
    const key = `${message.eventId} ${message.subject}`;
    if (!first.has(key)) first.set(key, message);
  }
  const placed = [...first.values()].map((message) => ({ message, at: placeOf(message) }));
  placed.sort((a, b) => (a.at.lsn === b.at.lsn ? a.at.ordinal - b.at.ordinal : a.at.lsn < b.at.lsn ? -1 : 1));
  return placed.map(({ message }) => message);
}

function placeOf({ lsn, eventId }: Stored): { lsn: bigint; ordinal: number } {
  return { lsn: parseLsn(lsn), ordinal: Number(eventId.slice(lsn.length + 1)) };
}

/** What a reader of history has that goes by the leaders' entries: after `resume` it ignores events of earlier epochs. */
export function asResumed(stored: readonly Stored[], leads: readonly Lead[]): Stored[] {
  const epochs = new Map(leads.map((lead) => [lead.epoch, lead]));
  return stored.filter(({ sequence }) =>
    [...epochs.values()].every(({ since, resume }) => sequence <= resume || sequence >= since),
  );
}

/** The owner of the last event about each object. Objects from before the log's beginning are missing. */
type LastHeard = Map<string, string>;

function checkCommit(
  commit: TrueCommit,
  stored: readonly Stored[],
  places: Places,
  prefix: string,
  lastHeard: LastHeard,
): StreamFinding[] {
  const findings: StreamFinding[] = [];
  const seen = new Set<string>();
  for (const { eventId, subject } of stored) {
    const key = `${eventId} ${subject}`;
    if (seen.has(key)) findings.push({ what: "repeated", detail: key });
    seen.add(key);
  }
  // Their order within the commit, of those whose places are known.
  const elsewhere = new Set(commit.logs.filter(({ owner }) => !places.has(owner ?? "")).map(({ object }) => object));
  for (const { object, owner } of commit.logs) if (places.has(owner ?? "")) elsewhere.delete(object);
  const got = stored
    .filter(({ object }) => isChecked(object) && !elsewhere.has(object))
    .map(({ subject, type }) => `${type} ${subject}`);
  const want = expectedOf(commit, places, prefix, lastHeard).map(({ subject, type }) => `${type} ${subject}`);
  if (got.join("\n") !== want.join("\n")) {
    const lacking = want.filter((line) => !got.includes(line));
    const extra = got.filter((line) => !want.includes(line));
    const some = (lines: string[]) => lines.slice(0, 3).join(", ");
    const detail = `commit ${commit.lsn} (sequences ${stored[0]?.sequence} to ${stored.at(-1)?.sequence}, parts ${[...new Set(stored.map(({ part }) => part))]}): ${got.length} of ${want.length} events; lacking ${some(lacking)}; extra ${some(extra)}`;
    findings.push({ what: got.length < want.length ? "missing" : "foreign", detail });
  }
  const isSplit = stored.some(({ part }) => part !== "");
  if (isSplit && stored.at(-1)?.part !== "last")
    findings.push({ what: "torn", detail: `${commit.lsn} ends without its last part` });
  // A batch that a power loss cut off continues under the next epoch, in numbered parts.
  const epochs = new Set(stored.map(({ epoch }) => epoch));
  if (isSplit && stored.length <= 1_000 && epochs.size === 1)
    findings.push({ what: "torn", detail: `${commit.lsn} is in parts without need, at ${stored[0]?.sequence}` });
  return findings;
}

function isChecked(object: string): boolean {
  return object.slice(5, 12) === "-4zz18-";
}

function expectedOf({ logs }: TrueCommit, places: Places, prefix: string, lastHeard: LastHeard): Expected[] {
  const subject = (owner: string | null, object: string) => {
    const place = places.get(owner ?? "");
    return place === undefined ? null : `${prefix}.rec.${place}.${object}.collections`;
  };
  // Where the object is at the end of the commit: that is where all of the commit's events go.
  const ends = new Map(
    logs.filter(({ type, owner }) => type !== "delete" && owner !== null).map(({ object, owner }) => [object, owner]),
  );
  const of = (type: string) => new Set(logs.filter((log) => log.type === type).map(({ object }) => object));
  const [created, deleted] = [of("create"), of("delete")];
  const expected: Expected[] = [];
  for (const { object, type, owner, oldOwner } of logs) {
    // The writers' forged rows name no owner.
    if (!isChecked(object) || owner === null) continue;
    // The commit deleted it: only its deletion is published, and nothing where the commit created it too.
    if (deleted.has(object) && (type !== "delete" || created.has(object))) continue;
    const now = type === "delete" ? owner : (ends.get(object) ?? owner);
    const former = lastHeard.get(object) ?? oldOwner;
    lastHeard.set(object, now);
    const left = type === "update" && former !== null && former !== now ? subject(former, object) : null;
    const here = subject(now, object);
    if (left) expected.push({ subject: left, type: "left" });
    if (here) expected.push({ subject: here, type });
  }
  return expected;
}
