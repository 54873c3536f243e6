/**
 * The process of one attacker, started by place.ts. Each line of standard input is a JSON list of attacks that replaces the
 * list before it; an empty list stops them. It prints `ready` once the list before has stopped and the new one runs.
 */
import { createInterface } from "node:readline";
import { type Attack, runAttack, type Target } from "./attacks.ts";

const target = JSON.parse(process.argv[2] ?? "{}") as Target;
let stop = new AbortController();
let running: Promise<unknown> = Promise.resolve();

for await (const line of createInterface({ input: process.stdin })) {
  stop.abort();
  await running;
  stop = new AbortController();
  const attacks = JSON.parse(line) as Attack[];
  running = Promise.all(attacks.map((attack) => runAttack(attack, target, stop.signal)));
  process.stdout.write("ready\n");
}
process.exit(0);
