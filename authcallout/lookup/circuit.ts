/**
 * A circuit breaker: after failures in a row no request is sent for a while, so that no login waits for a service that does not answer. Pure.
 *
 *   closed ──FAILURES in a row──► open ──REST_MS──► closed, but the next failure opens it again
 */
const FAILURES = 3;
const REST_MS = 5_000;

export class Circuit {
  #failures = 0;
  #openUntil = 0;

  isOpen(now: number): boolean {
    return now < this.#openUntil;
  }

  worked(): void {
    this.#failures = 0;
    this.#openUntil = 0;
  }

  failed(now: number): void {
    this.#failures += 1;
    if (this.#failures >= FAILURES) this.#openUntil = now + REST_MS;
  }
}
