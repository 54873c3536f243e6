/** Copies one log file into LOGS: it executes what `core/logs/log-copy.ts` decides, step by step. `LogFollower` creates one for each file. */
import { setTimeout as delay } from "node:timers/promises";
import { reasonOf } from "../../core/errors.ts";
import {
  advanceLogCopy,
  type ContainerPhase,
  type LogCopyAction,
  type LogCopyInput,
  type LogCopyRules,
  startFollow,
} from "../../core/logs/log-copy.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Semaphore } from "../../runtime/semaphore.ts";
import type { LogAnswer, ReadLog } from "./log-api.ts";
import type { LogStore } from "./log-store.ts";

export type LogFileParts = {
  container: string;
  file: string;
  subject: string;
  phase: () => ContainerPhase;
  /** The container request through which the file is read; null = none. */
  request: () => string | null;
  read: ReadLog;
  turns: Semaphore;
  store: LogStore;
  rules: LogCopyRules;
  now: () => number;
  log: Logger;
  /** The result of a request to the Arvados API. */
  onAnswer: (result: LogAnswer["type"]) => void;
  onStored: (bytes: number) => void;
};

export type LogFileEnd = "complete" | "left" | "stopped";

/** After so many failures in a row the log line is a warning. */
const LOUD_AFTER = 5;

export class LogFile {
  readonly #parts: LogFileParts;
  readonly #stop = new AbortController();
  #wake = new AbortController();

  constructor(parts: LogFileParts) {
    this.#parts = parts;
  }

  /** The container may have changed: ends the current wait. */
  wake(): void {
    this.#wake.abort();
  }

  stop(): void {
    this.#stop.abort();
    this.#wake.abort();
  }

  /** Resolves when the copy is complete, no longer wanted, or stopped. */
  async run(): Promise<LogFileEnd> {
    const { now, phase, rules } = this.#parts;
    let step = startFollow();
    while (!this.#stop.signal.aborted) {
      if (step.action.do === "end") return step.action.because;
      const input = await this.#perform(step.action, step.state.failures);
      step = advanceLogCopy(step.state, input, { now: now(), container: phase() }, rules);
    }
    return "stopped";
  }

  async #perform(action: Exclude<LogCopyAction, { do: "end" }>, failures: number): Promise<LogCopyInput> {
    const { store, subject, onStored } = this.#parts;
    switch (action.do) {
      case "look":
        try {
          return { type: "looked", stored: await store.last(subject) };
        } catch (error) {
          this.#log("LOGS cannot be read", reasonOf(error), failures);
          return { type: "failed" };
        }
      case "ask":
        return this.#ask(action.from, action.length, failures);
      case "store":
        try {
          const sequence = await store.put(subject, action.message);
          onStored(action.message.data.length);
          return { type: "stored", sequence };
        } catch (error) {
          this.#log("LOGS does not accept a part of a log", reasonOf(error), failures);
          return { type: "refused" };
        }
      case "wait":
        await this.#wait(action.ms);
        return { type: "waited" };
    }
  }

  async #ask(from: number, length: number, failures: number): Promise<LogCopyInput> {
    const { container, file, read, turns, onAnswer } = this.#parts;
    const done = await turns.acquire(container);
    try {
      const request = this.#parts.request();
      // Without a request Arvados shows the log to nobody.
      if (request === null) return { type: "absent" };
      // Ended by stop(), which does not wait for the answer.
      const answer = await read({ request, container, file }, from, length, this.#stop.signal);
      if (this.#stop.signal.aborted) return { type: "failed" };
      onAnswer(answer.type);
      if (answer.type === "failed") this.#log("the Arvados API does not return a log", answer.reason, failures);
      return answer;
    } finally {
      done();
    }
  }

  async #wait(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#wake.signal }).catch((error) => {
      if (!this.#wake.signal.aborted) throw error;
    });
    if (this.#wake.signal.aborted) this.#wake = new AbortController();
  }

  #log(what: string, reason: string, failures: number): void {
    if (this.#stop.signal.aborted) return;
    const { container, file, log } = this.#parts;
    log[failures === LOUD_AFTER ? "warn" : "debug"]({ container, file, failures, reason }, `${what}; trying again`);
  }
}
