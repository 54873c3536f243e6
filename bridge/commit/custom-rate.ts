/**
 * How much of RECORDS one user may fill with custom events: anybody may insert any number of `logs` rows, about any object. Time is that of
 * the commits, cut into windows; within one a user has an allowance of bytes. Beyond it his events have no route: the first is announced
 * as a gap, the others are counted. Pure, and bounded by the users that it tells apart.
 *
 * Who acts is `logs.modified_by_user_uuid`: Arvados writes it at every save, so no request can forge it. `owner_uuid` can be chosen by who
 * creates the row, and the object by everybody: a bound by one of those would let a user spend what is another's.
 *
 * Exact: a verdict depends on the custom events of the same window that were committed before, and on nothing else. So it is the same for each
 * reader who starts at or before the window's first commit, which `floor` sees to: PostgreSQL keeps the commits of every window of which
 * something is not stored. Not exact: after the allowance has been changed (verdicts that are stored stay), and where PostgreSQL's clock is
 * set back by more than `SKEW_MS` into a window that has been closed: what comes then is counted from zero.
 */
import { type Lsn, laterLsn } from "../../core/lsn.ts";
import type { RecordEvent } from "../../core/wire/wire.ts";

/** `announced`: the first beyond the allowance, in whose place a gap is told of. */
export type CustomVerdict = "routed" | "announced" | "dropped";

export type CustomRateOptions = {
  /** Bytes of RECORDS that a user may fill in a window. */
  allowance: number;
  /** Milliseconds of commit time. */
  window?: number;
  /** So many users have an allowance each in a window; those that come later share one. */
  users?: number;
};

export const CUSTOM_WINDOW_MS = 60_000;
/** Commits come in the order of the WAL; by their times they may differ from it by so much. */
const SKEW_MS = 5_000;
const USERS = 10_000;
/** Closed windows that are told apart; older ones are kept together. */
const CLOSED = 1_000;
/** Subject, headers and what nats-server adds, per message. */
const MESSAGE_BYTES = 600;
/** What one user may fill of RECORDS with custom events, all in all. */
const SHARE = 1 / 10;
const SHARED = "";

type Place = { lsn: Lsn; time: number };
type Range = { first: Lsn; last: Lsn };
type Open = Range & { spent: Map<string, number> };

export class CustomRate {
  readonly #allowance: number;
  readonly #window: number;
  readonly #users: number;
  /** By the window's number. */
  readonly #open = new Map<number, Open>();
  #closed: Range[] = [];
  #dropped = 0;

  constructor({ allowance, window = CUSTOM_WINDOW_MS, users = USERS }: CustomRateOptions) {
    this.#allowance = allowance;
    this.#window = window;
    this.#users = users;
  }

  /** Events that had no route, the announced ones among them. */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * One custom event that has a route, in the order of the log rows.
   * @param actor the row's `modified_by_user_uuid`; null = not known, of whom all share an allowance
   * @param bytes what it takes in RECORDS (`customBytes`)
   */
  judge({ lsn, time }: Place, actor: string | null, bytes: number): CustomVerdict {
    this.passed(time);
    const { spent } = this.#windowAt(lsn, time);
    const name = actor ?? SHARED;
    const key = spent.has(name) || spent.size < this.#users ? name : SHARED;
    const before = spent.get(key) ?? 0;
    // Once it is spent, a smaller event does not pass either: one gap, not many small ones.
    const after = before + bytes > this.#allowance ? Number.POSITIVE_INFINITY : before + bytes;
    spent.set(key, after);
    if (after <= this.#allowance) return "routed";
    this.#dropped++;
    return before > this.#allowance ? "dropped" : "announced";
  }

  /** What is held: users' allowances in open windows, and windows that are over. */
  get size(): number {
    return [...this.#open.values()].reduce((sum, { spent }) => sum + spent.size, this.#closed.length);
  }

  /** Everything that was committed up to `time` (UTC milliseconds by PostgreSQL's clock, not by ours) has been judged. */
  passed(time: number): void {
    for (const [number, { first, last }] of this.#open) {
      if (time < (number + 1) * this.#window + SKEW_MS) continue;
      this.#open.delete(number);
      this.#closed.push({ first, last });
    }
    while (this.#closed.length > CLOSED) {
      const [a, b, ...rest] = this.#closed as [Range, Range, ...Range[]];
      this.#closed = [{ first: earlierLsn(a.first, b.first), last: laterLsn(a.last, b.last) }, ...rest];
    }
  }

  /**
   * The position that PostgreSQL may forget, where everything up to `stored` is stored for good: who starts behind it decides on what is
   * not stored as this reader did. It never goes back while `stored` does not.
   */
  floor(stored: Lsn): Lsn {
    this.#closed = this.#closed.filter(({ last }) => last > stored);
    let floor = stored;
    for (const { first } of [...this.#closed, ...this.#open.values()]) if (first <= floor) floor = first - 1n;
    return floor;
  }

  #windowAt(lsn: Lsn, time: number): Open {
    const number = Math.floor(time / this.#window);
    const known = this.#open.get(number);
    if (known) {
      known.last = lsn;
      return known;
    }
    const made: Open = { first: lsn, last: lsn, spent: new Map() };
    this.#open.set(number, made);
    return made;
  }
}

function earlierLsn(a: Lsn, b: Lsn): Lsn {
  return a < b ? a : b;
}

/** What an event takes in RECORDS: its body under each subject. */
export function customBytes(bodyBytes: number, subjects: number): number {
  return subjects * (bodyBytes + MESSAGE_BYTES);
}

/**
 * A user's allowance in a window by the bounds of RECORDS: with every window spent, a user fills a tenth of RECORDS.
 * @param maxAge milliseconds for which messages live
 */
export function customAllowance(maxBytes: number, maxAge: number, window = CUSTOM_WINDOW_MS): number {
  if (maxBytes <= 0 || maxAge <= 0) return Number.POSITIVE_INFINITY;
  return Math.floor((maxBytes * SHARE * window) / maxAge);
}

/** What stands in the place of the first event beyond the allowance, on its route. @param time of its commit */
export function customGap(event: RecordEvent, time: number, window = CUSTOM_WINDOW_MS): RecordEvent {
  const { object_uuid, object_kind, object_owner_uuid, event_at } = event;
  const until = new Date((Math.floor(time / window) + 1) * window).toISOString();
  const properties = { reason: "too many custom events of one user", until };
  return { event_type: "gap", object_uuid, object_kind, object_owner_uuid, event_at, attributes: {}, properties };
}
