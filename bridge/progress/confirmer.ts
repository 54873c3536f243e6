/**
 * Which position PostgreSQL may forget. nats-server acknowledges before it syncs to disk, so a position is safe only once its messages are older
 * than nats-server's `sync_interval` plus a margin (ADR 1). Pure.
 */
import type { Lsn } from "../../core/lsn.ts";

/** Positions closer together than this share an entry, which bounds the list. */
const GRAIN_MS = 1000;

export class Confirmer {
  readonly #delay: number;
  #waiting: { lsn: Lsn; since: number; storedAt: number }[] = [];
  #confirmed: Lsn = 0n;

  /** @param delay milliseconds after which an acknowledged message is on disk */
  constructor(delay: number) {
    this.#delay = delay;
  }

  /** All messages of commits up to `lsn` were acknowledged at `now`. */
  stored(lsn: Lsn, now: number): void {
    const last = this.#waiting.at(-1);
    if (last && last.lsn >= lsn) return;
    if (last && now - last.since < GRAIN_MS) Object.assign(last, { lsn, storedAt: now });
    else this.#waiting.push({ lsn, since: now, storedAt: now });
  }

  /** The position to confirm at `now`; 0 = none yet. */
  safe(now: number): Lsn {
    while (this.#waiting[0] && now - this.#waiting[0].storedAt >= this.#delay) {
      this.#confirmed = (this.#waiting.shift() as { lsn: Lsn }).lsn;
    }
    return this.#confirmed;
  }
}
