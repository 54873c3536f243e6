/**
 * Pauses the logins of owners who cause too much work. Others wait while a session is cut and logs in again, so nobody may cause that
 * without end: by sharing and unsharing in a loop, by flooding, or by logging in and out. Each owner has a budget of cuts and one of
 * logins. If one is used up, logins are paused for a second, then longer, up to a few seconds, because another user may be the one who
 * shares and unshares. Existing sessions stay. After a minute without a pause the next one is short again.
 *
 *   free ──a budget is used up──► paused ──its time is over──► free; the next pause is longer, until a calm minute
 *
 * Every replica sees the same cuts in nats-server's events, so all decide alike. Pure.
 */
import { keepNewest } from "../../core/keep-newest.ts";

export type PauseLimits = { cutsPerMinute: number; loginsPerMinute: number };

/** `flood`: far more requests than the gateway accepts. */
export type PauseCause = "cuts" | "logins" | "flood";

const MINUTE_MS = 60_000;
export const FIRST_PAUSE_MS = 1_000;
/** Another user may have caused the cuts. */
export const LONGEST_PAUSE_MS = 8_000;
/** A flood is the session's own doing. */
export const LONGEST_FLOOD_PAUSE_MS = 60_000;
/** Logins after a pause are spread over this share of its length. */
const SPREAD = 0.5;
const KEPT_OWNERS = 20_000;

type Owner = {
  cuts: number;
  logins: number;
  /** UTC ms of the last change of the two above. */
  at: number;
  /** Pauses since the last calm minute. */
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

  /** A session of the owner was cut. */
  cut(owner: string, now: number): void {
    const known = this.#refilled(owner, now);
    known.cuts -= 1;
    if (known.cuts < 0) this.#pause(owner, known, "cuts", LONGEST_PAUSE_MS, now);
  }

  /** A login of the owner was accepted. */
  admitted(owner: string, now: number): void {
    const known = this.#refilled(owner, now);
    known.logins -= 1;
    if (known.logins < 0) this.#pause(owner, known, "logins", LONGEST_PAUSE_MS, now);
  }

  flooded(owner: string, now: number): void {
    this.#pause(owner, this.#refilled(owner, now), "flood", LONGEST_FLOOD_PAUSE_MS, now);
  }

  /**
   * Milliseconds until this session of the owner may log in; 0 = now.
   * @param share 0 <= share < 1, different for each session, so that they log in one after another
   */
  leftOf(owner: string, share: number, now: number): number {
    const known = this.#owners.get(owner);
    if (!known || known.until <= known.from) return 0;
    const end = known.until + (known.until - known.from) * SPREAD * share;
    return Math.max(0, Math.ceil(end - now));
  }

  /** How many owners are paused. */
  size(now: number): number {
    let count = 0;
    for (const { until } of this.#owners.values()) if (until > now) count += 1;
    return count;
  }

  #pause(owner: string, known: Owner, cause: PauseCause, longest: number, now: number): void {
    // Cuts and logins during the pause and its spread belong to this pause.
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
    // A calm minute.
    if (part >= 1 && now - known.until >= MINUTE_MS) known.times = 0;
    // No debt below zero: one wave of many sessions is one cause.
    known.cuts = Math.min(cutsPerMinute, Math.max(0, known.cuts) + part * cutsPerMinute);
    known.logins = Math.min(loginsPerMinute, Math.max(0, known.logins) + part * loginsPerMinute);
    known.at = now;
    keepNewest(this.#owners, KEPT_OWNERS, owner, known);
    return known;
  }
}

/** A number in [0, 1) from a session key, the same in every replica. */
export function shareOf(text: string): number {
  let hash = 2_166_136_261;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16_777_619);
  // The last characters have changed few bits so far.
  hash = Math.imul(hash ^ (hash >>> 15), 2_246_822_507);
  hash = Math.imul(hash ^ (hash >>> 13), 3_266_489_909);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
