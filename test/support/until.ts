/** Waiting for a condition: as soon as it holds, or a failure that says what did not come true. */

import { setTimeout as delay } from "node:timers/promises";

export type UntilOptions = { timeoutMs?: number; what?: string };

/** Looks every 5 ms until `condition` gives something truthy, which it returns. */
export async function until<T>(
  condition: () => T | Promise<T>,
  { timeoutMs = 10_000, what = "a condition" }: UntilOptions = {},
): Promise<Exclude<Awaited<T>, false | null | undefined | 0 | "">> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value as Exclude<Awaited<T>, false | null | undefined | 0 | "">;
    if (performance.now() > end) throw new Error(`${what} did not come true within ${timeoutMs} ms`);
    await delay(5);
  }
}
