/** Programs for a test, each ended by its own pid at the end of the block (`await using`). */

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const PATIENCE_MS = 10_000;

export type Ended = { code: number | null; text: string };
export type Started = { child: ChildProcess; ended: Promise<Ended> };

export type Processes = AsyncDisposable & {
  start(command: string, args: readonly string[], env?: Readonly<Record<string, string>>): Started;
  /** `arvados-nats` from source. */
  cli(args: readonly string[], env?: Readonly<Record<string, string>>): Started;
  end(): Promise<void>;
};

export function createProcesses(): Processes {
  const children: ChildProcess[] = [];
  const processes: Processes = {
    start(command, args, env = {}) {
      const surroundings = { PATH: process.env.PATH, HOME: process.env.HOME };
      const child = spawn(command, args, { cwd: ROOT, env: { ...surroundings, ...env } });
      children.push(child);
      let text = "";
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
      }
      return { child, ended: new Promise((resolve) => child.once("close", (code) => resolve({ code, text }))) };
    },
    cli: (args, env) => processes.start(process.execPath, ["--import", "tsx", "cli/main.ts", ...args], env),
    end: async () => {
      await Promise.all(children.map(end));
    },
    [Symbol.asyncDispose]: () => processes.end(),
  };
  return processes;
}

/** Whether a GET is answered with a success. */
export function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    (response) => response.ok,
    () => false,
  );
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = new Promise((resolve) => child.once("close", resolve));
  child.kill("SIGTERM");
  const patience = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  await closed;
  clearTimeout(patience);
}
