/**
 * How long this process stood still, as a rule with the whole machine: a slow disk, a neighbour, a paused virtual machine. What a test
 * asserts of a duration it asserts of the rest of it.
 */
const TICK_MS = 20;
/** Less than this is only a busy process. */
const BUSY_MS = 100;

export type Stalls = Disposable & {
  /** Milliseconds so far. */
  ms(): number;
};

export function watchStalls(): Stalls {
  let stalled = 0;
  let seen = performance.now();
  const look = () => {
    const now = performance.now();
    const over = now - seen - TICK_MS;
    if (over > BUSY_MS) stalled += over;
    seen = now;
    return stalled;
  };
  const timer = setInterval(look, TICK_MS);
  return { ms: look, [Symbol.dispose]: () => clearInterval(timer) };
}

/** A login that nobody could answer in time, for everything stood still, is refused like any other. */
const ANSWER_MS = 1_000;

/** The attempt's outcome; again, where it failed, or `isFailure`, while the machine stood still. */
export async function inSpiteOfStalls<T>(
  attempt: () => Promise<T>,
  isFailure: (outcome: T) => boolean = () => false,
): Promise<T> {
  for (;;) {
    using stalls = watchStalls();
    try {
      const outcome = await attempt();
      if (!isFailure(outcome) || stalls.ms() < ANSWER_MS) return outcome;
    } catch (error) {
      if (stalls.ms() < ANSWER_MS) throw error;
    }
  }
}
