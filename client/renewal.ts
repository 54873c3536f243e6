/**
 * When a session signs in again to have rights that have grown. Each time costs it a moment without a connection, and the service a login, so
 * they are paced: the first at once, then one in some seconds however often there is reason to, each session in its own rhythm.
 * Meanwhile the session stays connected with what it has.
 */
import type { Timers } from "./timers.ts";

/** At least this long, and half as long again at most. */
export const RENEWAL_PACE_MS = 4_000;

export class Renewal {
  readonly #timers: Timers;
  readonly #random: () => number;
  readonly #renew: () => void;
  #cancel: (() => void) | null = null;
  #wanted = false;

  /** @param renew ends the connection so that the library signs in again */
  constructor(timers: Timers, random: () => number, renew: () => void) {
    this.#timers = timers;
    this.#random = random;
    this.#renew = renew;
  }

  /** Renews at once, or when the pace allows it. */
  want(): void {
    if (this.#cancel) {
      this.#wanted = true;
      return;
    }
    const pace = RENEWAL_PACE_MS * (1 + this.#random() / 2);
    this.#cancel = this.#timers.after(pace, () => {
      this.#cancel = null;
      if (!this.#wanted) return;
      this.#wanted = false;
      this.want();
    });
    this.#renew();
  }

  /** The connection is gone by itself: the login to come is fresh. */
  forget(): void {
    this.#wanted = false;
  }

  stop(): void {
    this.#cancel?.();
    this.forget();
  }
}
