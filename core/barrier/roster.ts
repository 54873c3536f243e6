/**
 * What a reader of BARRIER knows: which replicas may have answers under way, what they have settled, and who leads.
 *
 * A replica counts for as long as one of its answers could still become a session (`Timing.lapse`), counted from when its last
 * lease was *read*, which is never before its holder began to count. A reader of a mark has read every lease before it;
 * a lease behind the mark counts for its holder only once its graph stands at the mark (tenure.ts). So when all that are
 * obliged have settled a mark, no login answered by an older graph is under way anywhere.
 *
 * A leader saves work and is not needed for safety: two leaders cut twice. Pure.
 */
import type { Revision } from "../revision.ts";
import type { BarrierEntry, Lease } from "./entry.ts";
import type { Timing } from "./timing.ts";

type Member = {
  readonly since: number;
  readonly readAt: number;
  readonly fit: boolean;
  readonly at: Lease["at"] | null;
};

export type Roster = {
  readonly members: Readonly<Record<string, Member>>;
  /** By replica: the sequence of the last mark it has settled. */
  readonly settled: Readonly<Record<string, number>>;
  /** The last mark. */
  readonly mark: { readonly sequence: number; readonly revision: Revision } | null;
  /** The sequence of the last mark that is enforced. */
  readonly cut: number;
};

export const EMPTY_ROSTER: Roster = { members: {}, settled: {}, mark: null, cut: 0 };

/** @param now when it was read */
export function readEntry(roster: Roster, entry: BarrierEntry, sequence: number, now: number, time: Timing): Roster {
  switch (entry.kind) {
    case "lease": {
      const { [entry.replica]: _, ...others } = roster.members;
      const members: Record<string, Member> = {};
      for (const [replica, member] of Object.entries(others)) {
        if (now < member.readAt + time.lapse) members[replica] = member;
      }
      if (!entry.left) {
        const { since, fit, at = null } = entry;
        members[entry.replica] = { since: since ?? sequence, readAt: now, fit, at };
      }
      return { ...roster, members };
    }
    case "mark":
      return { ...roster, mark: { sequence, revision: entry.revision } };
    case "settled": {
      // Of those that count, since every start of a replica has a name of its own.
      const kept = Object.entries(roster.settled).filter(([replica]) => roster.members[replica]);
      const settled = Math.max(entry.mark, roster.settled[entry.replica] ?? 0);
      return { ...roster, settled: { ...Object.fromEntries(kept), [entry.replica]: settled } };
    }
    case "cut":
      return entry.mark > roster.cut ? { ...roster, cut: entry.mark } : roster;
    case "server":
    case "alias":
      return roster;
  }
}

/** Replicas of which some answer could still become a session. */
function obliged(roster: Roster, now: number, time: Timing): string[] {
  return Object.keys(roster.members).filter((replica) => now < member(roster, replica).readAt + time.lapse);
}

/** Replicas that hold a lease now, as far as this reader knows. */
export function living(roster: Roster, now: number, time: Timing): string[] {
  return Object.keys(roster.members).filter((replica) => now < member(roster, replica).readAt + time.lease);
}

/** Connections of replicas whose lease has run out: nats-server would keep giving them logins that nobody answers. */
export function lapsedConnections(roster: Roster, now: number, time: Timing): NonNullable<Lease["at"]>[] {
  const there = living(roster, now, time);
  return Object.keys(roster.members).flatMap((replica) => {
    const { at } = member(roster, replica);
    return at && !there.includes(replica) ? [at] : [];
  });
}

/** The mark up to which sessions may be cut now; null if there is none, or a replica that must settle it has not. */
export function cuttable(roster: Roster, now: number, time: Timing): number | null {
  if (!roster.mark || roster.mark.sequence <= roster.cut) return null;
  const waitedFor = obliged(roster, now, time);
  if (waitedFor.length === 0) return null;
  const settled = Math.min(...waitedFor.map((replica) => roster.settled[replica] ?? 0), roster.mark.sequence);
  return settled > roster.cut ? settled : null;
}

/** The replicas that a mark waits for. */
export function unsettled(roster: Roster, now: number, time: Timing): string[] {
  const mark = roster.mark?.sequence ?? 0;
  if (mark <= roster.cut) return [];
  return obliged(roster, now, time).filter((replica) => (roster.settled[replica] ?? 0) < mark);
}

/** The replica that cuts: the one with the longest tenure among those with a fresh graph, or, if there is none, among all. */
export function leader(roster: Roster, now: number, time: Timing): string | null {
  const there = living(roster, now, time);
  const fit = there.filter((replica) => member(roster, replica).fit);
  const bySeniority = (a: string, b: string) => member(roster, a).since - member(roster, b).since;
  return (fit.length > 0 ? fit : there).sort(bySeniority)[0] ?? null;
}

/** Is there another replica that can accept logins? */
export function anotherIsFit(roster: Roster, self: string, now: number, time: Timing): boolean {
  return living(roster, now, time).some((replica) => replica !== self && member(roster, replica).fit);
}

function member(roster: Roster, replica: string): Member {
  return roster.members[replica] as Member;
}
