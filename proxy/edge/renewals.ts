/**
 * Renews sessions at the edge that were notified of new rights or moved objects and did not log in again. The project's client logs in
 * again by itself; a plain NATS library does so when its socket ends, and then repeats its subscriptions. So the edge ends such a socket
 * with the reason after a grace period. It spares a session for a while after each renewal, limits renewals in a second, and alternates
 * between tokens. A session that ends its socket itself counts as renewed, because its client paces its own logins.
 *
 *   (none) ──news──► notified ──GRACE_MS, and INTERVAL_MS since the last renewal──► due ──its turn──► renewed
 *      ▲                │                                                            │
 *      └──── the socket ended by itself ◄────────────────────────────────────────────┘
 */
import type { CloseName } from "../../core/close-codes.ts";
import { parseSessionKey } from "../../core/subjects.ts";

export type Renewable = { end(because: CloseName): void };

export const GRACE_MS = 3_000;
/** From one renewal of a session to the next one, however often its rights change. */
export const INTERVAL_MS = 30_000;
/** From one renewal of any session to the next one. */
export const SPACING_MS = 20;

export type RenewalsParts = {
  now: () => number;
  later: (callback: () => void, ms: number) => void;
};

type Socket = { key: string; because: CloseName | null };

export class Renewals {
  readonly #parts: RenewalsParts;
  readonly #sockets = new Map<Renewable, Socket>();
  readonly #byKey = new Map<string, Set<Renewable>>();
  readonly #renewed = new Map<string, number>();
  /** By session token, in turn: after its turn a token moves to the end. */
  readonly #due = new Map<string, Renewable[]>();
  #isBusy = false;

  constructor(parts: RenewalsParts) {
    this.#parts = parts;
  }

  /** @param key the session key */
  opened(socket: Renewable, key: string): void {
    this.#sockets.set(socket, { key, because: null });
    this.#byKey.set(key, (this.#byKey.get(key) ?? new Set()).add(socket));
  }

  ended(socket: Renewable): void {
    const { key, because } = this.#sockets.get(socket) ?? {};
    if (key === undefined) return;
    this.#sockets.delete(socket);
    if (because) this.#renewedNow(key);
    const others = this.#byKey.get(key);
    others?.delete(socket);
    if (others?.size === 0) this.#byKey.delete(key);
  }

  news(key: string, because: CloseName): void {
    const { now, later } = this.#parts;
    for (const socket of this.#byKey.get(key) ?? []) {
      const known = this.#sockets.get(socket);
      if (!known) continue;
      const isNotified = known.because !== null;
      known.because = because;
      if (isNotified) continue;
      const rest = (this.#renewed.get(key) ?? Number.NEGATIVE_INFINITY) + INTERVAL_MS - now();
      later(() => this.#queue(socket), Math.max(GRACE_MS, rest));
    }
  }

  #queue(socket: Renewable): void {
    const { key } = this.#sockets.get(socket) ?? {};
    if (key === undefined) return;
    const token = parseSessionKey(key).sessionToken;
    const sockets = this.#due.get(token) ?? [];
    sockets.push(socket);
    this.#due.set(token, sockets);
    if (!this.#isBusy) this.#next();
  }

  #next(): void {
    const [turn] = this.#due;
    this.#isBusy = turn !== undefined;
    if (!turn) return;
    const [token, sockets] = turn;
    const socket = sockets.shift();
    this.#due.delete(token);
    if (sockets.length > 0) this.#due.set(token, sockets);
    if (socket) this.#renew(socket);
    this.#parts.later(() => this.#next(), SPACING_MS);
  }

  #renew(socket: Renewable): void {
    const { because } = this.#sockets.get(socket) ?? {};
    if (because) socket.end(because);
  }

  #renewedNow(key: string): void {
    const { now, later } = this.#parts;
    this.#renewed.set(key, now());
    later(() => this.#forget(key), INTERVAL_MS);
  }

  #forget(key: string): void {
    const at = this.#renewed.get(key);
    if (at !== undefined && this.#parts.now() - at >= INTERVAL_MS) this.#renewed.delete(key);
  }
}
