/**
 * Who has to wait before coming in again. Cutting a session and letting it back in is work that others wait for, so nobody may cause it
 * without end: not by sharing and taking back in a loop with many sessions that reconnect, not by flooding, not by signing in and out.
 * Each has a budget of cuts and of logins, and waits where it is used up: a second, then longer, a few seconds at most, since it may
 * be somebody else who shares and takes back. Sessions that live are not touched. A calm minute makes it forgotten.
 *
 *   free ──a budget is used up──► paused ──its time is over──► free, and paused longer the next time until all is calm
 *
 * Every replica hears of the same cuts from nats-server's events, so that all decide alike. Pure.
 */
import { keepNewest } from "../../core/keep-newest.ts";

export type PauseLimits = { cutsPerMinute: number; loginsPerMinute: number };

/** `flood`: its requests were more than the gateway takes. */
export type PauseCause = "cuts" | "logins" | "flood";

const MINUTE_MS = 60_000;
export const FIRST_PAUSE_MS = 1_000;
/** Somebody else may be to blame for cuts. */
export const LONGEST_PAUSE_MS = 8_000;
/** For a flood nobody else is. */
export const LONGEST_FLOOD_PAUSE_MS = 60_000;
/** Sessions that wait for the same end come back spread over this part of the pause. */
const SPREAD = 0.5;
const KEPT_OWNERS = 20_000;

type Owner = {
  cuts: number;
  logins: number;
  /** UTC ms of the last change of the two above. */
  at: number;
  /** How often it was paused since it was calm. */
  times: number;
  from: number;
  until: number;
};

export class LoginPauses {
  readonly #limits: PauseLimits;
  readonly #owners = new Map<string, Owner>();
  readonly #onPause: (owner: string, cause: PauseCause, ms: number) => void;

  constructor(limits: PauseLimits, onPause: (owner: string, cause: PauseCause, ms: number) => void = () => {}) {
    this.#limits = limits;
    this.#onPause = onPause;
  }

  /** A session of theirs was cut. */
  cut(owner: string, now: number): void {
    const known = this.#refilled(owner, now);
    known.cuts -= 1;
    if (known.cuts < 0) this.#pause(owner, known, "cuts", LONGEST_PAUSE_MS, now);
  }

  /** They were let in. */
  admitted(owner: string, now: number): void {
    const known = this.#refilled(owner, now);
    known.logins -= 1;
    if (known.logins < 0) this.#pause(owner, known, "logins", LONGEST_PAUSE_MS, now);
  }

  flooded(owner: string, now: number): void {
    this.#pause(owner, this.#refilled(owner, now), "flood", LONGEST_FLOOD_PAUSE_MS, now);
  }

  /**
   * Milliseconds that this session of theirs has to wait; 0 = none.
   * @param share 0 <= share < 1, a session's own: they come back one after another
   */
  leftOf(owner: string, share: number, now: number): number {
    const known = this.#owners.get(owner);
    if (!known || known.until <= known.from) return 0;
    const end = known.until + (known.until - known.from) * SPREAD * share;
    return Math.max(0, Math.ceil(end - now));
  }

  /** How many wait now. */
  size(now: number): number {
    let count = 0;
    for (const { until } of this.#owners.values()) if (until > now) count += 1;
    return count;
  }

  #pause(owner: string, known: Owner, cause: PauseCause, longest: number, now: number): void {
    // What was under way when the pause began belongs to it, and those who come in spread out after it too.
    if (now < known.until + (known.until - known.from) * SPREAD) return;
    const ms = Math.min(longest, FIRST_PAUSE_MS * 2 ** Math.min(known.times, 10));
    known.times += 1;
    known.from = now;
    known.until = now + ms;
    this.#onPause(owner, cause, ms);
  }

  #refilled(owner: string, now: number): Owner {
    const { cutsPerMinute, loginsPerMinute } = this.#limits;
    const known = this.#owners.get(owner) ?? {
      cuts: cutsPerMinute,
      logins: loginsPerMinute,
      at: now,
      times: 0,
      from: 0,
      until: 0,
    };
    const part = Math.max(0, now - known.at) / MINUTE_MS;
    // A minute in which nothing happened.
    if (part >= 1 && now - known.until >= MINUTE_MS) known.times = 0;
    // Below zero nothing is owed: one wave of many sessions is one cause.
    known.cuts = Math.min(cutsPerMinute, Math.max(0, known.cuts) + part * cutsPerMinute);
    known.logins = Math.min(loginsPerMinute, Math.max(0, known.logins) + part * loginsPerMinute);
    known.at = now;
    keepNewest(this.#owners, KEPT_OWNERS, owner, known);
    return known;
  }
}

/** A session's own share of 0 to 1, from its id: the same whoever is asked. */
export function shareOf(text: string): number {
  let hash = 2_166_136_261;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16_777_619);
  // What differs last has come into few bits yet.
  hash = Math.imul(hash ^ (hash >>> 15), 2_246_822_507);
  hash = Math.imul(hash ^ (hash >>> 13), 3_266_489_909);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
