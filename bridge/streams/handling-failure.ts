/**
 * The commit at which handling failed although no connection was lost and no server refused: a defect of ours, which the next try would meet
 * again. It is stored in GRAPHLOG before that try, so that the next leader knows, wherever it runs. A failure at one row does not come here
 * (`commit/event-router.ts`).
 */
import { formatLsn, type Lsn } from "../../core/lsn.ts";

/** Body of `graphlog.trouble`; `tries` counts those that failed. It never holds the content of a row. */
export type HandlingFailure = { lsn: string; tries: number; reason: string };

/** After so many failed tries the commit's events are left out. */
const TRIES = 2;
const MAX_REASON = 200;

export class FailureRecord {
  #stored: HandlingFailure | null;
  readonly #store: (failure: HandlingFailure) => Promise<void>;

  /** @param store resolves once it is acknowledged */
  constructor(stored: HandlingFailure | null, store: (failure: HandlingFailure) => Promise<void>) {
    this.#stored = stored;
    this.#store = store;
  }

  /** Has the commit failed often enough? Then the graph stays as it was read, and the commit makes no events. */
  isHopeless(lsn: Lsn): boolean {
    return this.#stored?.lsn === formatLsn(lsn) && this.#stored.tries >= TRIES;
  }

  async failed(lsn: Lsn, reason: string): Promise<void> {
    const at = formatLsn(lsn);
    const tries = this.#stored?.lsn === at ? this.#stored.tries + 1 : 1;
    this.#stored = { lsn: at, tries, reason: reason.slice(0, MAX_REASON) };
    await this.#store(this.#stored);
  }
}
