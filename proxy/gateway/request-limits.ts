/**
 * How many requests a session, and all sessions of a user together, may send to the gateway. Requests above the limit are dropped before
 * they are read; one answer a second says so. A session that exceeds the limit by far floods: it is cut, because all requests wait for the
 * gateway in one queue of nats-server.
 *
 *   within ──bucket empty──► over (refused once a second, else dropped) ──far over──► flooding (reported)
 *
 * Pure.
 */
import { keepNewest } from "../../core/keep-newest.ts";

/** `refuse`, `large`: and say so. `drop`: say nothing. `flood`: the first time in a while. */
export type RequestVerdict = "accept" | "refuse" | "large" | "drop" | "flood";

/** Bytes; the longest body that a verb can need is far below. */
export const MOST_BODY = 4_096;

/** What a request takes of its bucket; `requestsPerSecond` counts those of cost 10. */
const COSTS: Record<string, number> = { more: 1, stop: 1, tail: 20 };
const USUAL_COST = 10;
/** No client of good will sends so many bodies that are too large. They fill what nats-server keeps for us, so few are a flood. */
const LARGE_FLOOD = 8;
/** Of the bucket, for each that is answered. */
const LARGE_COST = 100;
/** Seconds' worth that may be asked at once. */
const BURST = 2;
/** A user's sessions together, in sessions. */
const USER_SESSIONS = 4;
/** All that are anonymous share one user. */
const ANONYMOUS_SESSIONS = 40;
/** Seconds' worth beyond the bucket that make a flood. */
const FLOOD = 20;
const ANSWER_MS = 1_000;
/** So long each further large body of one who has flooded, in whichever session, is a flood. */
const KNOWN_FLOODER_MS = 60_000;
export const UNDER_WAY_PER_SESSION = 50;
const UNDER_WAY_PER_USER = 200;
const KEPT = 20_000;

type Bucket = { left: number; excess: number; at: number; answeredAt: number; reportedAt: number; underWay: number };

export class RequestLimits {
  readonly #rate: number;
  readonly #isAnonymous: (user: string) => boolean;
  readonly #buckets = new Map<string, Bucket>();
  readonly #flooders = new Map<string, number>();

  /** @param perSecond requests of one session */
  constructor(perSecond: number, isAnonymous: (user: string) => boolean) {
    this.#rate = perSecond * USUAL_COST;
    this.#isAnonymous = isAnonymous;
  }

  /**
   * Asked before anything else.
   * @param session its key, `<token>.<sid>`
   * @param now UTC ms, as below
   * @param canAnswer whether it asks for an answer
   */
  ofSession(session: string, verb: string, bytes: number, now: number, canAnswer = true): RequestVerdict {
    const cost = COSTS[verb] ?? USUAL_COST;
    const bucket = this.#bucket(`session ${session}`, this.#rate, now);
    const isLarge = bytes > MOST_BODY;
    if (!isLarge && bucket.underWay < UNDER_WAY_PER_SESSION && spend(bucket, cost)) return "accept";
    const flood = this.#rate * FLOOD;
    bucket.excess += isLarge ? flood / LARGE_FLOOD : cost;
    if (bucket.excess > flood) return reportOnce(bucket, now);
    if (isLarge) return canAnswer && spend(bucket, LARGE_COST) ? "large" : "drop";
    return canAnswer && isDue(bucket, now) ? "refuse" : "drop";
  }

  /** A large body came and was not taken: is it of one who has flooded lately? */
  ofLarge(session: string, user: string, now: number): RequestVerdict {
    const until = this.#flooders.get(user) ?? 0;
    return until > now ? reportOnce(this.#bucket(`session ${session}`, this.#rate, now), now) : "drop";
  }

  flooded(user: string, now: number): void {
    if (!this.#isAnonymous(user)) keepNewest(this.#flooders, KEPT, user, now + KNOWN_FLOODER_MS);
  }

  /** Asked about what `ofSession` takes, once it is known whose it is. */
  ofUser(user: string, verb: string, now: number, canAnswer = true): RequestVerdict {
    const isAnonymous = this.#isAnonymous(user);
    const sessions = isAnonymous ? ANONYMOUS_SESSIONS : USER_SESSIONS;
    const bucket = this.#bucket(`user ${user}`, this.#rate * sessions, now);
    const most = isAnonymous ? UNDER_WAY_PER_USER * 10 : UNDER_WAY_PER_USER;
    if (bucket.underWay < most && spend(bucket, COSTS[verb] ?? USUAL_COST)) return "accept";
    return canAnswer && isDue(bucket, now) ? "refuse" : "drop";
  }

  /** What was taken is being answered, until the returned function is called. */
  begin(session: string, user: string | null): () => void {
    const names = user === null ? [`session ${session}`] : [`session ${session}`, `user ${user}`];
    const buckets = names.flatMap((name) => this.#buckets.get(name) ?? []);
    for (const bucket of buckets) bucket.underWay += 1;
    return () => {
      for (const bucket of buckets) bucket.underWay -= 1;
    };
  }

  #bucket(name: string, rate: number, now: number): Bucket {
    const most = rate * BURST;
    const known = this.#buckets.get(name);
    if (known) {
      const gained = (Math.max(0, now - known.at) / 1_000) * rate;
      known.left = Math.min(most, known.left + gained);
      known.excess = Math.max(0, known.excess - gained);
      known.at = now;
      return known;
    }
    const fresh = { left: most, excess: 0, at: now, answeredAt: 0, reportedAt: 0, underWay: 0 };
    keepNewest(this.#buckets, KEPT, name, fresh);
    return fresh;
  }
}

function spend(bucket: Bucket, cost: number): boolean {
  if (bucket.left < cost) return false;
  bucket.left -= cost;
  return true;
}

function isDue(bucket: Bucket, now: number): boolean {
  if (now - bucket.answeredAt < ANSWER_MS) return false;
  bucket.answeredAt = now;
  return true;
}

function reportOnce(bucket: Bucket, now: number): RequestVerdict {
  if (now - bucket.reportedAt < ANSWER_MS) return "drop";
  bucket.reportedAt = now;
  return "flood";
}
