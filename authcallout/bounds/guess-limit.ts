/**
 * Slows down guessing of tokens. If too many logins from an address had no known token, further unknown tokens from there are refused
 * without asking Arvados' API. A known token is always accepted, also if others guess at its address. Pure.
 */
import { networkOf } from "../../core/address.ts";
import type { Fault } from "../../core/errors.ts";
import { keepNewest } from "../../core/keep-newest.ts";

/** Refusals that guessing causes, and that an honest client does not cause repeatedly. */
const GUESSES: readonly string[] = ["token.unknown", "token.malformed"];
/** An attacker with many addresses pushes out the oldest entries and does not fill memory. */
const KEPT_ADDRESSES = 10_000;
const MINUTE_MS = 60_000;

type GuessBudget = { left: number; at: number };

export class GuessLimit {
  readonly #perMinute: number;
  readonly #buckets = new Map<string, GuessBudget>();

  constructor(perMinute: number) {
    this.#perMinute = perMinute;
  }

  isExhausted(host: string, now: number): boolean {
    const bucket = this.#buckets.get(networkOf(host));
    return bucket !== undefined && this.#refilled(bucket, now).left < 1;
  }

  isGuess({ code }: Fault): boolean {
    return GUESSES.includes(code);
  }

  refused(host: string, why: Fault, now: number): void {
    if (this.isGuess(why)) this.#change(host, -1, now);
  }

  /** Spends one try until the lookup has shown whether the token is a guess, so that a burst cannot pass the limit. */
  hold(host: string, now: number): void {
    this.#change(host, -1, now);
  }

  release(host: string, now: number): void {
    this.#change(host, 1, now);
  }

  #change(host: string, by: number, now: number): void {
    const network = networkOf(host);
    const { left } = this.#refilled(this.#buckets.get(network) ?? { left: this.#perMinute, at: now }, now);
    const changed = { left: Math.min(this.#perMinute, Math.max(0, left + by)), at: now };
    keepNewest(this.#buckets, KEPT_ADDRESSES, network, changed);
  }

  #refilled({ left, at }: GuessBudget, now: number): GuessBudget {
    const gained = (Math.max(0, now - at) / MINUTE_MS) * this.#perMinute;
    return { left: Math.min(this.#perMinute, left + gained), at: now };
  }
}
