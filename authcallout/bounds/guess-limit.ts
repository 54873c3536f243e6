/**
 * Slows guessing down: addresses whose logins keep naming no known token have nobody asked about the next ones (Arvados' API), and are told
 * so. A token that is known here is let in whoever else is at its address. Pure.
 */
import { networkOf } from "../../core/address.ts";
import type { Fault } from "../../core/errors.ts";
import { keepNewest } from "../../core/keep-newest.ts";

/** Refusals that a guesser would cause, and that an honest client does not cause again and again. */
const GUESSES: readonly string[] = ["token.unknown", "token.malformed"];
/** Bounded: an attacker with many addresses pushes out the oldest, never the process. */
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

  /** Keeps one try back while it is not known yet whether it is a guess: a burst costs others no more than the limit. */
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
