/**
 * "Look again", coalesced: many nudges before the listener comes back make one round. The nudge carries no data, the listener
 * re-reads what is true. A new nudge starts as given, so that the first round looks once without being asked.
 */
export type Nudge = {
  nudge(): void;
  /** Resolves with true at the next nudge (at once if one is pending), with false when the signal is aborted. One listener at a time. */
  next(signal?: AbortSignal): Promise<boolean>;
};

export function createNudge(): Nudge {
  let pending = true;
  let wake: (() => void) | null = null;
  return {
    nudge() {
      pending = true;
      wake?.();
    },
    async next(signal) {
      if (wake) throw new Error("a nudge has one listener at a time");
      if (!pending && !signal?.aborted) {
        await new Promise<void>((resolve) => {
          wake = resolve;
          signal?.addEventListener("abort", () => resolve(), { once: true });
        });
        wake = null;
      }
      if (signal?.aborted) return false;
      pending = false;
      return true;
    },
  };
}
