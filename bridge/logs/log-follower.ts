/**
 * Which log files are followed: those that clients of a gateway tail, by what the gateways repeat, or, where that is set, those of
 * every running container. One poller per file, however many readers.
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

/** More files than this are not followed at a time: what clients name is bounded too. */
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

  /** Files under way. */
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
      // Only what crunch-run writes: other names are not asked for with the system root token.
      if (named && NAMES.has(named.file)) this.#follow(named.container, named.file, until);
    }
  }

  /** The rows of a commit that the permission graph's rows hold by now. */
  apply(rows: Iterable<RowChange>): void {
    const { containers } = this.#parts;
    const changed = new Set(containers.apply(rows));
    if (changed.size === 0) return;
    for (const container of changed) if (containers.phase(container) === "live") this.#followAll(container);
    for (const { container, file } of this.#files.values()) if (changed.has(container)) file.wake();
  }

  /** Lets go of what nobody tails any more, and of what is over. */
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
