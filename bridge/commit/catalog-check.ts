/**
 * Holds commits until PostgreSQL's catalogs have been looked at behind them: what was committed before this one may have been decoded without a
 * table that somebody took out of a publication, and then a revocation is missed. A look takes a fraction of a millisecond; under load one serves
 * all that has come meanwhile. Half a second of events would else go out before a beat notices.
 */
import { setTimeout as delay } from "node:timers/promises";
import { type Lsn, laterLsn } from "../../core/lsn.ts";

/** After each look nobody looks for so many times as long as it took, so that at most a fifth of one of PostgreSQL's processors goes into it. */
const REST = 4;
const MAX_REST_MS = 10;

export class CatalogCheck {
  readonly #look: () => Promise<unknown>;
  readonly #onLooked: () => void;
  readonly #fail: (error: unknown) => void;
  #upTo: Lsn = 0n;
  #wanted: Lsn = 0n;
  #looking = false;

  /**
   * @param look rejects where the catalogs have changed
   * @param onLooked more commits may pass
   */
  constructor(look: () => Promise<unknown>, onLooked: () => void, fail: (error: unknown) => void) {
    this.#look = look;
    this.#onLooked = onLooked;
    this.#fail = fail;
  }

  /** Has a look been taken that began after the commit at `lsn` had come? If not, one is taken. */
  passed(lsn: Lsn): boolean {
    if (lsn <= this.#upTo) return true;
    this.#wanted = laterLsn(lsn, this.#wanted);
    if (!this.#looking) void this.#run().catch(this.#fail);
    return false;
  }

  async #run(): Promise<void> {
    this.#looking = true;
    while (this.#wanted > this.#upTo) {
      const wanted = this.#wanted;
      const begun = performance.now();
      await this.#look();
      const took = performance.now() - begun;
      this.#upTo = wanted;
      this.#onLooked();
      await delay(Math.min(MAX_REST_MS, REST * took));
    }
    this.#looking = false;
  }
}
