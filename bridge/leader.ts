/**
 * Leads term after term: waits for the replication slot, begins a term, and tries again when the term ends with an error. A bridge that waits
 * is a standby. `main.ts` creates one for the process.
 */
import { jetstreamManager } from "@nats-io/jetstream";
import { Fault, reasonOf } from "../core/errors.ts";
import { formatRevision } from "../core/revision.ts";
import { retry } from "../runtime/backoff.ts";
import { deferred } from "../runtime/deferred.ts";
import type { Logger } from "../runtime/log/log.ts";
import type { Scope } from "../runtime/scope.ts";
import type { Condition } from "../runtime/service.ts";
import type { BridgeMetrics } from "./bridge-metrics.ts";
import type { LogFollower } from "./logs/log-follower.ts";
import type { FollowLogs } from "./logs/log-following.ts";
import { Term, type TermOptions } from "./term.ts";

/** Short, so that a standby takes over within seconds. */
const BACKOFF = { min: 100, max: 2_000 };

export type LeaderOptions = {
  term: Omit<TermOptions, "listener" | "slotIsUnreadable" | "seenWhileLeading">;
  reports: BridgeMetrics;
  /** Null where no logs are followed. */
  followLogs: FollowLogs | null;
  log: Logger;
  scope: Scope;
};

export class Leader {
  readonly #options: LeaderOptions;
  readonly #started = deferred<void>();
  readonly #stop = new AbortController();
  readonly #seenWhileLeading: TermOptions["seenWhileLeading"] = { ends: null };
  #hasLed = false;
  #slotIsUnreadable = false;
  #condition: Condition = { ok: false, says: "starting" };

  constructor(options: LeaderOptions) {
    this.#options = options;
  }

  /** Resolves when the bridge leads, or waits as a standby. */
  get started(): Promise<void> {
    return this.#started.promise;
  }

  get condition(): Condition {
    return this.#condition;
  }

  /** Nothing has to be finished: the next leader reads again what is not confirmed. */
  stop(): void {
    this.#stop.abort();
  }

  /** Resolves after `stop`, rejects when only a person can help. */
  async run(): Promise<void> {
    const { log, scope } = this.#options;
    const signal = AbortSignal.any([scope.signal, this.#stop.signal]);
    while (!signal.aborted) {
      const options = {
        what: "lead",
        log,
        backoff: BACKOFF,
        signal,
        retryable: (error: unknown) => this.#isRetryable(error),
      };
      await retry(() => this.#lead(signal), options).catch((error: unknown) => {
        // A standby that is asked to end has nothing to finish.
        if (!signal.aborted) throw error;
        log.info({ reason: reasonOf(error) }, "stopped waiting for the replication slot, as asked");
      });
    }
  }

  /** One term. Resolves when `signal` ends it, rejects with the error that does. */
  async #lead(signal: AbortSignal): Promise<void> {
    const { reports, followLogs, term: options } = this.#options;
    const scope = this.#options.scope.child("term");
    let logs: LogFollower | null = null;
    try {
      const listener = {
        ...reports.listener,
        onContainers: (changes) => void logs?.apply(changes),
      } satisfies TermOptions["listener"];
      const state = { slotIsUnreadable: this.#slotIsUnreadable, seenWhileLeading: this.#seenWhileLeading };
      const term = await new Term({ ...options, ...state, listener }, scope).begin();
      this.#hasLed = true;
      this.#slotIsUnreadable = false;
      this.#condition = { ok: true, says: `leading from revision ${formatRevision(term.revision)}` };
      reports.onLeading(term);
      if (followLogs) {
        const nc = await options.connect("STORE", scope);
        logs = followLogs(nc, await jetstreamManager(nc), term.state, scope);
      }
      this.#started.resolve();
      const error = await Promise.race([term.ended, aborted(signal)]);
      if (error) throw error;
    } finally {
      reports.onEnded();
      await scope.close();
    }
  }

  #isRetryable(error: unknown): boolean {
    this.#condition = { ok: false, says: reasonOf(error) };
    if (!(error instanceof Fault)) return true;
    if (error.code === "slot.unreadable") this.#slotIsUnreadable = true;
    // A standby has started: waiting is its work.
    if (error.code === "slot.busy") this.#started.resolve();
    // The database was fit once: what was changed since can be changed back.
    return error.handling === "retry" || (this.#hasLed && error.code.startsWith("postgres."));
  }
}

/** Resolves when the signal is aborted, or is already. */
async function aborted(signal: AbortSignal): Promise<null> {
  if (signal.aborted) return null;
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(null), { once: true }));
}
