/**
 * Limits how much of RECORDS one user may fill with custom events, because any token holder may insert any number of `logs` rows, about any
 * object. Commit times are divided into windows; in each window a user has an allowance of bytes. Events beyond it have no route: the first is
 * announced as a gap, the others are counted. Pure; memory is bounded by the number of users with an allowance of their own.
 *
 * The user is `logs.modified_by_user_uuid`: Arvados writes it at every save, so no request can forge it. The writer of a row chooses
 * `owner_uuid` and the object, so a limit by one of those would let a user spend the allowance of another.
 *
 * A verdict depends only on the earlier custom events of the same window. So it is the same for each reader that starts at or before the
 * window's first commit; `floor` makes PostgreSQL keep the commits of every window that is not stored completely. Two exceptions: after the
 * allowance was changed stored verdicts stay, and when PostgreSQL's clock is set back by more than `SKEW_MS` a closed window starts from zero.
 */
import { type Lsn, laterLsn } from "../../core/lsn.ts";
import type { RecordEvent } from "../../core/wire/wire.ts";

/** `announced`: the first event beyond the allowance, which a gap replaces. */
export type CustomVerdict = "routed" | "announced" | "dropped";

export type CustomRateOptions = {
  /** Bytes of RECORDS that a user may fill in a window. */
  allowance: number;
  /** Milliseconds of commit time. */
  window?: number;
  /** So many users have their own allowance in a window; later ones share one. */
  users?: number;
};

export const CUSTOM_WINDOW_MS = 60_000;
/** The order of commit times may differ from the order of the WAL by so much. */
const SKEW_MS = 5_000;
const USERS = 10_000;
/** Closed windows that are kept separately; older ones are merged. */
const CLOSED = 1_000;
/** Subject, headers and overhead of nats-server, for each message. */
const MESSAGE_BYTES = 600;
/** One user may fill this part of RECORDS with custom events. */
const SHARE = 1 / 10;
const SHARED = "";

type CommitMoment = { lsn: Lsn; time: number };
type Range = { first: Lsn; last: Lsn };
type OpenWindow = Range & { spent: Map<string, number> };

export class CustomRate {
  readonly #allowance: number;
  readonly #window: number;
  readonly #users: number;
  /** By the window's number. */
  readonly #open = new Map<number, OpenWindow>();
  #closed: Range[] = [];

  constructor({ allowance, window = CUSTOM_WINDOW_MS, users = USERS }: CustomRateOptions) {
    this.#allowance = allowance;
    this.#window = window;
    this.#users = users;
  }

  /**
   * One custom event that has a route, in the order of the log rows.
   * @param actor the row's `modified_by_user_uuid`; null = not known: all of these share an allowance
   * @param bytes size in RECORDS (`customBytes`)
   */
  judge({ lsn, time }: CommitMoment, actor: string | null, bytes: number): CustomVerdict {
    this.passed(time);
    const { spent } = this.#windowAt(lsn, time);
    const name = actor ?? SHARED;
    const key = spent.has(name) || spent.size < this.#users ? name : SHARED;
    const before = spent.get(key) ?? 0;
    // Once the allowance is spent, a smaller event does not pass either: one gap, not many small ones.
    const after = before + bytes > this.#allowance ? Number.POSITIVE_INFINITY : before + bytes;
    spent.set(key, after);
    if (after <= this.#allowance) return "routed";
    return before > this.#allowance ? "dropped" : "announced";
  }

  /** Number of allowances in open windows, and of closed windows. */
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
   * The position that PostgreSQL may forget, where everything up to `stored` is stored for good: a reader that starts after it gives the same
   * verdicts about later events as this one. It does not decrease while `stored` does not.
   */
  floor(stored: Lsn): Lsn {
    this.#closed = this.#closed.filter(({ last }) => last > stored);
    let floor = stored;
    for (const { first } of [...this.#closed, ...this.#open.values()]) if (first <= floor) floor = first - 1n;
    return floor;
  }

  #windowAt(lsn: Lsn, time: number): OpenWindow {
    const number = Math.floor(time / this.#window);
    const known = this.#open.get(number);
    if (known) {
      known.last = lsn;
      return known;
    }
    const created: OpenWindow = { first: lsn, last: lsn, spent: new Map() };
    this.#open.set(number, created);
    return created;
  }
}

function earlierLsn(a: Lsn, b: Lsn): Lsn {
  return a < b ? a : b;
}

/** The size of an event in RECORDS: its body under each subject. */
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

/** The event that replaces the first one beyond the allowance, on the same route. @param time of the commit */
export function customGap(event: RecordEvent, time: number, window = CUSTOM_WINDOW_MS): RecordEvent {
  const { object_uuid, object_kind, object_owner_uuid, event_at } = event;
  const until = new Date((Math.floor(time / window) + 1) * window).toISOString();
  const properties = { reason: "too many custom events of one user", until };
  return { event_type: "gap", object_uuid, object_kind, object_owner_uuid, event_at, attributes: {}, properties };
}
