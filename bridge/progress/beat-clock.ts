/**
 * Up to which moment GRAPH is complete. The bridge samples PostgreSQL's flush position at time t; the beat is the newest t whose position
 * replication has passed and GRAPH has acknowledged. So it stalls while a huge transaction is decoded and removals wait. Pure.
 */
import { type Lsn, laterLsn } from "../../core/lsn.ts";

export class BeatClock {
  #samples: { time: number; lsn: Lsn }[] = [];
  #beat: number | null = null;
  #passed: Lsn = 0n;

  /** At `time` (UTC ms, taken before the query) PostgreSQL had flushed up to `lsn`. */
  sample(time: number, lsn: Lsn): void {
    // An idle database stays at the same position, and nothing will pass it.
    if (lsn <= this.#passed) this.#beat = time;
    else this.#samples.push({ time, lsn });
  }

  /** Everything up to `lsn` has been applied and acknowledged. */
  passed(lsn: Lsn): void {
    this.#passed = laterLsn(lsn, this.#passed);
    let reached = 0;
    for (const sample of this.#samples) {
      if (sample.lsn > lsn) break;
      this.#beat = sample.time;
      reached++;
    }
    this.#samples.splice(0, reached);
  }

  /** UTC milliseconds up to which the graph is complete; null = not known yet. */
  get beat(): number | null {
    return this.#beat;
  }
}
