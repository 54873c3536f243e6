/** How long to wait before the next try, and at which level to log it. */
import { Fault, reasonOf } from "../core/errors.ts";
import type { Logger, LogLevel } from "./log/log.ts";
import { sleep as realSleep, type Sleep } from "./sleep.ts";

type Backoff = {
  /** First delay, ms. */
  min: number;
  /** Last delay, ms. */
  max: number;
  factor?: number;
  /** Random share of a delay that is left out (0-1), so that many clients do not retry together. */
  jitter?: number;
};

/** Delay before try `attempt` + 1, counted from 0. `random` is in [0, 1). */
export function backoffDelay({ min, max, factor = 2, jitter = 0.5 }: Backoff, attempt: number, random: number): number {
  const full = Math.min(max, min * factor ** attempt);
  return Math.round(full * (1 - jitter * random));
}

/** A short disturbance needs no alarm; a lasting failure does. */
export function levelOfDelay(ms: number): LogLevel & ("info" | "warn" | "error") {
  return ms < 1_000 ? "info" : ms < 6_500 ? "warn" : "error";
}

type RetryOptions = {
  /** What is tried, as in "could not {what}". */
  what: string;
  log: Logger;
  backoff: Backoff;
  /** Ends the waiting; `retry` then throws the last error. */
  signal?: AbortSignal;
  /** Default: faults that say `retry`, and every error that is no fault. */
  retryable?: (error: unknown) => boolean;
  random?: () => number;
  sleep?: Sleep;
};

/** Does the work until it succeeds, backing off between tries. An error that a retry cannot fix is thrown at once. */
export async function retry<T>(work: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  const { what, log, backoff, signal, retryable = worthAnotherTry, random = Math.random, sleep = realSleep } = options;
  for (let attempt = 0; ; attempt++) {
    try {
      return await work(attempt);
    } catch (error) {
      if (signal?.aborted || !retryable(error)) throw error;
      const ms = backoffDelay(backoff, attempt, random());
      const remedy = error instanceof Fault ? { remedy: error.remedy } : {};
      log[levelOfDelay(ms)]({ attempt, ms, reason: reasonOf(error), ...remedy }, `could not ${what}; retrying`);
      await sleep(ms, signal);
      if (signal?.aborted) throw error;
    }
  }
}

function worthAnotherTry(error: unknown): boolean {
  return !(error instanceof Fault) || error.handling === "retry";
}
