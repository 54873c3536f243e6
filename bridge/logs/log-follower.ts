/**
 * Decides which log files are copied: those that clients of a gateway tail, which the gateways repeat, or by setting those of every running
 * container. One copy for each file, however many readers. `log-following.ts` creates one for each term.
 */
import { reasonOf } from "../../core/errors.ts";
import { LOG_FILES } from "../../core/logs/log-files.ts";
import type { Subjects } from "../../core/subjects.ts";
import { TAILED_LEASE_MS } from "../../core/wire/wire.ts";
import type { RowChange } from "../postgres/row.ts";
import type { LogContainers } from "./log-containers.ts";
import { LogFile, type LogFileEnd, type LogFileParts } from "./log-file.ts";

export type LogFollowerParts = {
  subjects: Subjects;
  containers: LogContainers;
  /** Every running container's files, tailed or not. */
  always: boolean;
} & Omit<LogFileParts, "container" | "file" | "subject" | "phase" | "request">;

/** At most so many files are followed at a time, because clients choose the names. */
const MAX_FILES = 20_000;
const NAMES: ReadonlySet<string> = new Set(LOG_FILES);

type Followed = { file: LogFile; container: string; until: number; end: LogFileEnd | null };

export class LogFollower {
  readonly #parts: LogFollowerParts;
  readonly #files = new Map<string, Followed>();

  constructor(parts: LogFollowerParts) {
    this.#parts = parts;
    for (const container of parts.containers.live()) this.#followAll(container);
  }

  /** Files that are being copied. */
  get size(): number {
    let count = 0;
    for (const { end } of this.#files.values()) if (end === null) count++;
    return count;
  }

  /** These logs are tailed now. */
  tailed(subjects: readonly string[]): void {
    const until = this.#parts.now() + TAILED_LEASE_MS;
    for (const subject of subjects) {
      const named = this.#parts.subjects.parseLog(subject);
      // Only files that crunch-run writes: the system root token is used for no other name.
      if (named && NAMES.has(named.file)) this.#follow(named.container, named.file, until);
    }
  }

  /** To be called after these rows of a commit are applied to the permission graph's rows. */
  apply(rows: Iterable<RowChange>): void {
    const { containers } = this.#parts;
    const changed = new Set(containers.apply(rows));
    if (changed.size === 0) return;
    for (const container of changed) if (containers.phase(container) === "live") this.#followAll(container);
    for (const { container, file } of this.#files.values()) if (changed.has(container)) file.wake();
  }

  /** Stops files that nobody tails any more, and forgets those that ended. */
  sweep(): void {
    const { containers, now } = this.#parts;
    containers.sweep();
    for (const [subject, { file, container, until, end }] of this.#files) {
      const isWanted =
        until > now() || (this.#parts.always && (end === null || containers.phase(container) === "live"));
      if (isWanted) continue;
      file.stop();
      this.#files.delete(subject);
    }
  }

  stop(): void {
    for (const { file } of this.#files.values()) file.stop();
  }

  #followAll(container: string): void {
    if (this.#parts.always) for (const file of LOG_FILES) this.#follow(container, file, 0);
  }

  #follow(container: string, name: string, until: number): void {
    const { containers, subjects, log } = this.#parts;
    const subject = subjects.log(container, name);
    const known = this.#files.get(subject);
    if (known) known.until = Math.max(known.until, until);
    if (known || this.#files.size >= MAX_FILES) return;
    const file = new LogFile({
      ...this.#parts,
      container,
      file: name,
      subject,
      phase: () => containers.phase(container),
      request: () => containers.request(container),
    });
    const followed: Followed = { file, container, until, end: null };
    this.#files.set(subject, followed);
    file.run().then(
      (end) => {
        followed.end = end;
        log.debug({ container, file: name, end }, "a log is no longer followed");
      },
      (error) => {
        followed.end = "stopped";
        log.error({ container, file: name, reason: reasonOf(error) }, "a log cannot be followed");
      },
    );
  }
}
