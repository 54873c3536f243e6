/**
 * Log lines of one kind are written a few times an interval and then only counted: a line that a client can cause at will must not fill
 * the log or take processor time from others. The first line after an interval says how many were left out.
 */
import { keepNewest } from "../../core/keep-newest.ts";
import type { Logger } from "./log.ts";

type LogLimiterOptions = {
  log: Logger;
  /** UTC ms. */
  now: () => number;
  intervalMs?: number;
  /** Lines of a kind in an interval. */
  lines?: number;
};

type LineKind = { since: number; written: number; leftOut: number };

/** Bounded, because a kind may contain what a client chose. */
const KEPT_KINDS = 1_000;

export class LogLimiter {
  readonly #options: Required<LogLimiterOptions>;
  readonly #kinds = new Map<string, LineKind>();

  constructor(options: LogLimiterOptions) {
    this.#options = { intervalMs: 10_000, lines: 1, ...options };
  }

  /** @param fields called only for a line that is written */
  say(level: "info" | "warn" | "error", kind: string, fields: () => object, message: string): void {
    const { log, now, intervalMs, lines } = this.#options;
    const at = now();
    const known = this.#kinds.get(kind);
    if (known && at - known.since < intervalMs) {
      if (known.written >= lines) {
        known.leftOut += 1;
        return;
      }
      known.written += 1;
      log[level](fields(), message);
      return;
    }
    keepNewest(this.#kinds, KEPT_KINDS, kind, { since: at, written: 1, leftOut: 0 });
    log[level](known && known.leftOut > 0 ? { ...fields(), leftOut: known.leftOut } : fields(), message);
  }
}
