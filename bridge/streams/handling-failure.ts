/**
 * The commit that handling failed at, for a reason that is not a lost connection or a refusing server: a fault of ours, which would come
 * again with the next try. It is stored in GRAPHLOG before that try, so that the bridge that leads next, wherever it runs, knows. A row
 * is guarded by itself (`commit-handler.ts`); this is for what no row can be blamed for.
 */
import { formatLsn, type Lsn } from "../../core/lsn.ts";

/** Body of `graphlog.trouble`. `tries` that failed so far. Never the content of a row. */
export type HandlingFailure = { lsn: string; tries: number; reason: string };

/** Tries that fail before the commit's events are left out. */
const TRIES = 2;
const MAX_REASON = 200;

export class TroubleRecord {
  #stored: HandlingFailure | null;
  readonly #store: (trouble: HandlingFailure) => Promise<void>;

  /** @param store resolves once it is acknowledged */
  constructor(stored: HandlingFailure | null, store: (trouble: HandlingFailure) => Promise<void>) {
    this.#stored = stored;
    this.#store = store;
  }

  /** Has the commit been tried often enough? Then its rows stay as the graph was read, and it makes no events. */
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
