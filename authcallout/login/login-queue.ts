/**
 * Logins waiting for their turn. One that comes while nobody waits is answered at once, unless many come at once: they wait as soon as
 * answering has taken as long as a turn of the queue does. A queue gives way to other work every few
 * milliseconds, so that leases and removals are not kept waiting by a storm of logins; what has waited so long that nats-server
 * gives up soon is dropped unopened, and so is what comes when the queue is full.
 */
export type LoginQueueOptions<T> = {
  /** True when the login has been seen to, false when it cannot be answered at this moment and should wait. */
  take: (item: T) => boolean;
  /** Dropped after waiting so many milliseconds. */
  onShed: (item: T, waited: number) => void;
  /** Milliseconds; below nats-server's authorization timeout. */
  patience: number;
  length: number;
  now: () => number;
  /** Calls back after other work has had its turn; `wait` where nothing could be done just now. */
  later: (callback: () => void, wait: boolean) => void;
};

const TURN_MS = 5;

export class LoginQueue<T> {
  readonly #options: LoginQueueOptions<T>;
  readonly #waiting: { item: T; since: number }[] = [];
  #scheduled = false;
  /** Milliseconds of answering at once since other work has had its turn; null = none. */
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
    if (this.#waiting.length === 0 && !isLong && this.#takeAtOnce(item)) return;
    // The oldest has the least time left to be answered in.
    if (this.#waiting.length >= length) {
      const oldest = this.#waiting.shift();
      if (oldest) onShed(oldest.item, now() - oldest.since);
    }
    this.#waiting.push({ item, since: now() });
    this.#schedule(!isLong);
  }

  #takeAtOnce(item: T): boolean {
    const { take, now, later } = this.#options;
    const begun = now();
    if (!take(item)) return false;
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
    const { take, onShed, patience, now } = this.#options;
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
      if (!take(first.item)) {
        stuck = true;
        break;
      }
      this.#waiting.shift();
    }
    this.#schedule(stuck);
  }
}
