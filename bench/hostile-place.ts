/** A stack and its attacker, each in a process of its own, so that the process that measures does nothing else. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Attack, Target } from "./attacks.ts";
import type { StackFacts } from "./hostile-stack.ts";

export type Place = {
  facts: StackFacts;
  /** Replaces what is attacked with; an empty list stops. Resolves once what was before has stopped. */
  attack(attacks: readonly Attack[]): Promise<void>;
  close(): Promise<void>;
};

export type PlaceOptions = {
  /** For the stack's process. */
  flags: readonly string[];
  /** Folder for a processor profile of the stack's process. */
  profile?: string;
};

export async function startPlace({ flags, profile }: PlaceOptions): Promise<Place> {
  const node = profile === undefined ? [] : ["--cpu-prof", "--cpu-prof-dir", profile];
  const stack = start("hostile-stack.ts", flags, node);
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

function start(file: string, args: readonly string[], node: readonly string[] = []) {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child: ChildProcessByStdio<Writable, Readable, null> = spawn(
    process.execPath,
    [...node, "--import", "tsx", path, ...args],
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
