/**
 * The life of a process: start, run until it ends or a signal comes, drain, release in reverse.
 *
 *   starting ──► running ──► draining ──► releasing ──► exit code
 *       │           │ ended by itself ────────▲
 *       └── first SIGTERM / SIGINT: release ──┘        second signal, at any time: return at once
 */
import { reasonOf } from "../core/errors.ts";
import { deferred } from "./deferred.ts";
import type { Logger } from "./log/log.ts";
import { createScope, type Scope } from "./scope.ts";
import type { Service } from "./service.ts";
import { inTime, type Sleep } from "./sleep.ts";

/** A supervisor must allow both together, and more, between SIGTERM and SIGKILL. */
export const DRAIN_MS = 25_000;
export const RELEASE_MS = 5_000;

const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;
type Signal = keyof typeof SIGNALS;
const SIGNAL_NAMES = Object.keys(SIGNALS) as Signal[];

/** `process`, or an EventEmitter in a test. */
export type SignalSource = {
  on(name: Signal, listener: (name: Signal) => void): unknown;
  off(name: Signal, listener: (name: Signal) => void): unknown;
};

export type RunOptions = {
  name: string;
  log: Logger;
  start(scope: Scope): Promise<Pick<Service, "drain" | "done">>;
  signals?: SignalSource;
  /** What a drain may take. */
  drainMs?: number;
  /** What releasing everything may take after it. */
  releaseMs?: number;
  sleep?: Sleep;
};

/**
 * Runs a service to its end and returns the exit code: 0 = ended by itself, 128 + n = ended by signal n as parents expect it,
 * 1 = asked to end but drain or release failed. An error of the service is thrown, after everything was released.
 */
export async function runService(options: RunOptions): Promise<number> {
  const { name, log, signals = process } = options;
  const first = deferred<Signal>();
  const second = deferred<Signal>();
  const onSignal = (signal: Signal) => (first.settled ? second : first).resolve(signal);
  for (const signal of SIGNAL_NAMES) signals.on(signal, onSignal);
  try {
    const forced = second.promise.then((signal) => {
      log.warn({ service: name, signal }, "a second signal came: ending at once, without draining");
      return 128 + SIGNALS[signal];
    });
    return await Promise.race([runToEnd(options, first.promise), forced]);
  } finally {
    for (const signal of SIGNAL_NAMES) signals.off(signal, onSignal);
  }
}

async function runToEnd(options: RunOptions, asked: Promise<Signal>): Promise<number> {
  const { name, log, start, releaseMs = RELEASE_MS } = options;
  const scope = createScope((resource, error) => log.warn({ service: name, resource, err: error }, "release failed"));
  let code: number;
  try {
    code = await startAndRun(options, start(scope), scope, asked);
  } catch (error) {
    await inTime(scope.close(), releaseMs, options.sleep).catch(() => {});
    throw error;
  }
  try {
    if (await inTime(scope.close(), releaseMs, options.sleep)) return code;
    log.warn({ service: name, ms: releaseMs }, "not everything was released in time");
  } catch {
    // Logged by `onError` of the scope.
  }
  return 1;
}

async function startAndRun(
  options: RunOptions,
  starting: ReturnType<RunOptions["start"]>,
  scope: Scope,
  asked: Promise<Signal>,
): Promise<number> {
  const { name, log, drainMs = DRAIN_MS } = options;
  const early = await Promise.race([starting.then(() => null), asked]);
  if (early !== null) {
    log.info({ service: name, signal: early }, "a signal came during the start");
    // Closing aborts the start; what it had acquired is released, what it still acquires releases itself.
    await scope.close();
    await inTime(starting, drainMs, options.sleep).catch(() => {});
    return 128 + SIGNALS[early];
  }
  const service = await starting;
  const signal = await Promise.race([service.done.then(() => null), asked]);
  if (signal === null) return 0;
  log.info({ service: name, signal }, "draining");
  service.done.catch((error: unknown) => log.warn({ service: name, err: error }, "the service failed while draining"));
  try {
    if (!(await inTime(service.drain(), drainMs, options.sleep))) {
      log.warn({ service: name, ms: drainMs }, "the drain took too long");
      return 1;
    }
  } catch (error) {
    log.error({ service: name, err: error }, `the drain failed: ${reasonOf(error)}`);
    return 1;
  }
  log.info({ service: name }, "drained");
  return 128 + SIGNALS[signal];
}
