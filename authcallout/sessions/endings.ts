/**
 * Sessions whose tokens end soon. nats-server ends those by itself, without a word, whose token's end stood when they were let in;
 * of an end that was set later it knows nothing. Pure.
 */
import type { SessionName } from "../../core/session/session.ts";

/** `at`: UTC milliseconds of the token's end. */
export type Ending = { name: SessionName; at: number };

/** Milliseconds ahead of nats-server, which comes in the second that begins more than a second before the token's end (authorizer.ts). */
export const AHEAD_MS = 250;
const LEAD_MS = 1_000 + AHEAD_MS;

export class Endings {
  readonly #bySecond = new Map<number, Map<string, Ending>>();
  /** First second that has not been looked at. */
  #next: number;

  /** @param now UTC milliseconds, as below */
  constructor(now: number) {
    this.#next = secondOf(now);
  }

  /** A session that was expected already is not expected twice. */
  add(ending: Ending): void {
    const { user, key } = ending.name;
    const second = Math.max(Math.floor(ending.at / 1000), this.#next);
    const endings = this.#bySecond.get(second) ?? new Map();
    this.#bySecond.set(second, endings.set(`${user}|${key.sessionToken}|${key.sid}`, ending));
  }

  /** Those that end now; each comes once. */
  removeExpired(now: number): Ending[] {
    const due: Ending[] = [];
    for (const last = secondOf(now); this.#next <= last; this.#next++) {
      due.push(...(this.#bySecond.get(this.#next)?.values() ?? []));
      this.#bySecond.delete(this.#next);
    }
    return due;
  }
}

function secondOf(now: number): number {
  return Math.floor((now + LEAD_MS) / 1000);
}
