/**
 * When a session logs in again to get new rights. Each renewal costs the session a moment without a connection and the service a login, so
 * renewals are paced: the first at once, then at most one in some seconds, each session at its own pace. Meanwhile the session stays
 * connected with the rights it has.
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

  /** @param renew ends the connection so that the library logs in again */
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

  /** The connection was lost: the next login is a new one anyway. */
  forget(): void {
    this.#wanted = false;
  }

  stop(): void {
    this.#cancel?.();
    this.forget();
  }
}
