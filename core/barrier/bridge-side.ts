/**
 * The bridge's side of the revocation barrier (docs/barrier.md): records committed behind a removal wait until the removal is enforced.
 *
 *   commit that removes a right ──► mark r ──► (callout settles, cuts) ──► cut r ──► records behind r are released
 *
 * Pure: no I/O, no clock. Barriers are pipelined: the graph is not delayed, and records wait for the lowest mark that is still open.
 */
import { atLeast, NO_REVISION, type Revision } from "../revision.ts";

export class Barrier {
  #marked: Revision = NO_REVISION;
  #cut: Revision = NO_REVISION;

  /** A removal stands in GRAPH at `revision`. */
  mark(revision: Revision): void {
    if (atLeast(revision, this.#marked)) this.#marked = revision;
  }

  /** No session older than `revision` lives. Returns whether that was new. */
  cut(revision: Revision): boolean {
    if (atLeast(this.#cut, revision)) return false;
    this.#cut = revision;
    return true;
  }

  /** The mark that records stamped from now on must wait for, or null. */
  get open(): Revision | null {
    return atLeast(this.#cut, this.#marked) ? null : this.#marked;
  }

  /** May records be released whose commit stood behind the removal `needed`? */
  released(needed: Revision): boolean {
    return atLeast(this.#cut, needed);
  }

  get marked(): Revision {
    return this.#marked;
  }
}
