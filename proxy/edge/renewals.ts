/**
 * Sessions at the edge that were told of more rights, or of objects that moved, and did nothing: their login is from before. Our own client
 * signs in anew by itself; a plain NATS library does when its socket ends, and subscribes again to what it had. So the edge ends those
 * sockets with the reason, some seconds later, a session not again for a while, and a few a second of all, one token's sockets and another's by
 * turns. A session that left by itself when it was told looks after itself: it is given as long for the next time, since its client paces its logins too.
 *
 *   (none) ──news──► warned ──a grace, and an interval since the last time──► due ──its turn──► renewed
 *      ▲                │                                                      │
 *      └──── the socket ended by itself ◄──────────────────────────────────────┘
 */
import type { CloseName } from "../../core/close-codes.ts";
import { parseSessionKey } from "../../core/subjects.ts";

export type Renewable = { end(because: CloseName): void };

export const GRACE_MS = 3_000;
/** From one renewal of a session to the next one, however often its rights come and go. */
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
  /** By token; whose turn it was goes to the end. */
  readonly #due = new Map<string, Renewable[]>();
  #isBusy = false;

  constructor(parts: RenewalsParts) {
    this.#parts = parts;
  }

  /** @param key of the session as its notices' subject has it: `<token>.<sid>` */
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
      const isWarned = known.because !== null;
      known.because = because;
      if (isWarned) continue;
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
