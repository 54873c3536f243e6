/**
 * Up to which position all work is done, while the work on several commits overlaps. Commits are opened and closed in parts; positions without
 * work pass in between. Pure.
 */
import type { Lsn } from "../../core/lsn.ts";

export class PositionTracker {
  /** Open parts of commits, in commit order. */
  #open: { lsn: Lsn; parts: number }[] = [];
  #passed: Lsn = 0n;
  #frontier: Lsn = 0n;
  readonly #onReached: (lsn: Lsn) => void;

  constructor(onReached: (lsn: Lsn) => void = () => {}) {
    this.#onReached = onReached;
  }

  /** A part of the commit at `lsn` begins. Commits come in their order. */
  open(lsn: Lsn): void {
    const last = this.#open.at(-1);
    if (last?.lsn === lsn) last.parts++;
    else this.#open.push({ lsn, parts: 1 });
  }

  close(lsn: Lsn): void {
    const entry = this.#open.find((candidate) => candidate.lsn === lsn);
    if (entry) entry.parts--;
    let done: Lsn = 0n;
    while (this.#open[0]?.parts === 0) done = (this.#open.shift() as { lsn: Lsn }).lsn;
    this.#reach(done < this.#passed ? done : this.#passed);
  }

  /** Nothing up to `lsn` will be opened any more. */
  passed(lsn: Lsn): void {
    if (lsn > this.#passed) this.#passed = lsn;
    this.#reach(0n);
  }

  /** Everything up to here is done. */
  get frontier(): Lsn {
    return this.#frontier;
  }

  #reach(lsn: Lsn): void {
    const reached = this.#open.length === 0 ? this.#passed : lsn;
    if (reached <= this.#frontier) return;
    this.#frontier = reached;
    this.#onReached(reached);
  }
}
