/**
 * Logins that wait for their turn. A login that arrives at an empty queue is answered at once. The queue yields to other work every few
 * milliseconds, so that a storm of logins does not delay leases and removals. It drops a login unopened if nats-server will soon stop
 * waiting for it, and the oldest one if the queue is full.
 */
export type LoginQueueOptions<T> = {
  /** True if the login is handled, false if it cannot be answered now and must wait. */
  start: (item: T) => boolean;
  /** The login is dropped after it waited `waited` milliseconds. */
  onShed: (item: T, waited: number) => void;
  /** Milliseconds; below nats-server's authorization timeout. */
  patience: number;
  length: number;
  now: () => number;
  /** Calls back after other work; `wait`: no login can be answered now, so later. */
  later: (callback: () => void, wait: boolean) => void;
};

const TURN_MS = 5;

export class LoginQueue<T> {
  readonly #options: LoginQueueOptions<T>;
  readonly #waiting: { item: T; since: number }[] = [];
  #scheduled = false;
  /** Milliseconds spent on answering at once since other work last had a turn; null = none. */
  #atOnce: number | null = null;

  constructor(options: LoginQueueOptions<T>) {
    this.#options = options;
  }

  get length(): number {
    return this.#waiting.length;
  }

  push(item: T): void {
    const { onShed, length, now } = this.#options;
    const isLong = (this.#atOnce ?? 0) >= TURN_MS;
    if (this.#waiting.length === 0 && !isLong && this.#startAtOnce(item)) return;
    // The oldest has the least time left to be answered in.
    if (this.#waiting.length >= length) {
      const oldest = this.#waiting.shift();
      if (oldest) onShed(oldest.item, now() - oldest.since);
    }
    this.#waiting.push({ item, since: now() });
    this.#schedule(!isLong);
  }

  #startAtOnce(item: T): boolean {
    const { start, now, later } = this.#options;
    const begun = now();
    if (!start(item)) return false;
    if (this.#atOnce === null) {
      later(() => {
        this.#atOnce = null;
      }, false);
    }
    this.#atOnce = (this.#atOnce ?? 0) + now() - begun;
    return true;
  }

  #schedule(wait: boolean): void {
    if (this.#scheduled || this.#waiting.length === 0) return;
    this.#scheduled = true;
    this.#options.later(() => {
      this.#scheduled = false;
      this.#turn();
    }, wait);
  }

  #turn(): void {
    const { start, onShed, patience, now } = this.#options;
    const begun = now();
    let stuck = false;
    while (this.#waiting.length > 0 && now() - begun < TURN_MS) {
      const first = this.#waiting[0] as { item: T; since: number };
      const waited = now() - first.since;
      if (waited > patience) {
        this.#waiting.shift();
        onShed(first.item, waited);
        continue;
      }
      if (!start(first.item)) {
        stuck = true;
        break;
      }
      this.#waiting.shift();
    }
    this.#schedule(stuck);
  }
}
