/** A stack and its attacker, each in a process of its own, so that the process that measures does nothing else. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Attack, Target } from "./attacks.ts";
import type { StackFacts } from "./stack.ts";

export type Place = {
  facts: StackFacts;
  /** Replaces what is attacked with; an empty list stops. Resolves once what was before has stopped. */
  attack(attacks: readonly Attack[]): Promise<void>;
  close(): Promise<void>;
};

/** @param flags for the stack's process */
export async function startPlace(flags: readonly string[]): Promise<Place> {
  const stack = start("stack.ts", flags);
  const facts = JSON.parse(await stack.line()) as StackFacts;
  const { port, database, clusterId } = facts;
  const target: Target = { port, database, clusterId };
  const attacker = start("attacker.ts", [JSON.stringify(target)]);
  return {
    facts,
    async attack(attacks) {
      attacker.say(JSON.stringify(attacks));
      await attacker.line();
    },
    async close() {
      await attacker.end();
      await stack.end();
    },
  };
}

function start(file: string, args: readonly string[]) {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn(
    process.execPath,
    ["--import", "tsx", path, ...args],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const exited = once(child, "exit");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    say: (line: string) => void child.stdin.write(`${line}\n`),
    async line(): Promise<string> {
      const { value, done } = await lines.next();
      if (done) throw new Error(`${file} ended before it answered`);
      return value;
    },
    async end() {
      child.stdin.end();
      await exited;
    },
  };
}
