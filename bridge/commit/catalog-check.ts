/**
 * Holds commits until PostgreSQL's catalogs were checked after them. An earlier commit may have been decoded without a table that was missing
 * from a publication, and then a revocation is missed; the beat alone would notice it only after half a second of events. A check takes a
 * fraction of a millisecond, and under load one check serves all commits that came meanwhile. `term.ts` creates one for each term.
 */
import { setTimeout as delay } from "node:timers/promises";
import { type Lsn, laterLsn } from "../../core/lsn.ts";

/** After each check a pause of so many times its duration: checks use at most a fifth of one processor of PostgreSQL. */
const REST = 4;
const MAX_REST_MS = 10;

export class CatalogCheck {
  readonly #check: () => Promise<unknown>;
  readonly #onChecked: () => void;
  readonly #fail: (error: unknown) => void;
  #upTo: Lsn = 0n;
  #wanted: Lsn = 0n;
  #checking = false;

  /**
   * @param check rejects where the catalogs have changed
   * @param onChecked more commits may pass
   */
  constructor(check: () => Promise<unknown>, onChecked: () => void, fail: (error: unknown) => void) {
    this.#check = check;
    this.#onChecked = onChecked;
    this.#fail = fail;
  }

  /** Has a check begun after the commit at `lsn` came, and ended? If not, one is started. */
  passed(lsn: Lsn): boolean {
    if (lsn <= this.#upTo) return true;
    this.#wanted = laterLsn(lsn, this.#wanted);
    if (!this.#checking) void this.#run().catch(this.#fail);
    return false;
  }

  async #run(): Promise<void> {
    this.#checking = true;
    while (this.#wanted > this.#upTo) {
      const wanted = this.#wanted;
      const startedAt = performance.now();
      await this.#check();
      const took = performance.now() - startedAt;
      this.#upTo = wanted;
      this.#onChecked();
      await delay(Math.min(MAX_REST_MS, REST * took));
    }
    this.#checking = false;
  }
}
