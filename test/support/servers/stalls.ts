/**
 * How long this process stood still, as a rule with the whole machine: a slow disk, a neighbour, a paused virtual machine. What a test
 * asserts of a duration it asserts of the rest of it.
 */
import { setTimeout as delay } from "node:timers/promises";

const TICK_MS = 20;
/** Less than this is only a busy process. */
const BUSY_MS = 100;
/** More than this may take a lease of authcallout, or the time that nats-server gives a login. */
export const GRAVE_MS = 1_000;
/** Leases that were lost are held again by then, logins answered, and sessions cut. */
export const AFTERMATH_MS = 3_000;

let stalled = 0;
let seen = performance.now();
/** When the last grave one was over. */
let overAt = Number.NEGATIVE_INFINITY;

function look(): void {
  const now = performance.now();
  const over = now - seen - TICK_MS;
  if (over > BUSY_MS) stalled += over;
  if (over > GRAVE_MS) overAt = now;
  seen = now;
}
setInterval(look, TICK_MS).unref();

/** Tells how many milliseconds of stalls there have been since. */
export function watchStalls(): () => number {
  look();
  const before = stalled;
  return () => {
    look();
    return stalled - before;
  };
}

/**
 * The attempt's outcome; once more, where it failed, or `isFailure`, because of a stall. A login that nobody could answer in time is
 * refused like any other.
 */
export async function inSpiteOfStalls<T>(
  attempt: () => Promise<T>,
  isFailure: (outcome: T) => boolean = () => false,
): Promise<T> {
  for (;;) {
    const begun = performance.now();
    const outcome = await attempt().then(
      (value) => ({ value, failed: isFailure(value) }),
      (error: unknown) => ({ error, failed: true }),
    );
    look();
    if (outcome.failed && begun < overAt + AFTERMATH_MS) {
      await delay(Math.max(0, overAt + AFTERMATH_MS - performance.now()));
      continue;
    }
    if ("error" in outcome) throw outcome.error;
    return outcome.value;
  }
}
