import { setTimeout as delay } from "node:timers/promises";

/** Resolves after `ms`, or at once when the signal is aborted: the caller checks the signal anyway. Loops have it as a parameter. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>;

export const sleep: Sleep = async (ms, signal) => {
  try {
    await delay(ms, undefined, signal ? { signal } : {});
  } catch (error) {
    if (!signal?.aborted) throw error;
  }
};

/** Whether the work ended within `ms`. Work that takes longer is not stopped. */
export async function inTime(work: Promise<unknown>, ms: number, timed: Sleep = sleep): Promise<boolean> {
  const timer = new AbortController();
  try {
    return await Promise.race([work.then(() => true), timed(ms, timer.signal).then(() => false)]);
  } finally {
    timer.abort();
  }
}
