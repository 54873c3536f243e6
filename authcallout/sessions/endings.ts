/**
 * Sessions whose tokens expire soon. nats-server ends a session at the end that the token had at the login, and gives no reason; it does
 * not know of an end that was set later. So the enforcer cuts these sessions, with a reason. Pure.
 */
import type { SessionName } from "../../core/session/session.ts";

/** `at`: UTC milliseconds of the token's end. */
export type Ending = { name: SessionName; at: number };

/** Cut this long before nats-server would expire the session: nats-server works in whole seconds (authorizer.ts) and gives no reason. */
export const AHEAD_MS = 250;
const LEAD_MS = 1_000 + AHEAD_MS;

export class Endings {
  readonly #bySecond = new Map<number, Map<string, Ending>>();
  /** The first second that `removeExpired` has not passed. */
  #next: number;

  /** @param now UTC milliseconds, as below */
  constructor(now: number) {
    this.#next = secondOf(now);
  }

  /** The same session and second count once. */
  add(ending: Ending): void {
    const { user, key } = ending.name;
    const second = Math.max(Math.floor(ending.at / 1000), this.#next);
    const endings = this.#bySecond.get(second) ?? new Map();
    this.#bySecond.set(second, endings.set(`${user}|${key.sessionToken}|${key.sid}`, ending));
  }

  /** Returns those that expire now, each once. */
  removeExpired(now: number): Ending[] {
    const expired: Ending[] = [];
    for (const last = secondOf(now); this.#next <= last; this.#next++) {
      expired.push(...(this.#bySecond.get(this.#next)?.values() ?? []));
      this.#bySecond.delete(this.#next);
    }
    return expired;
  }
}

function secondOf(now: number): number {
  return Math.floor((now + LEAD_MS) / 1000);
}
