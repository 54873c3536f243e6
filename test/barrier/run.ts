/**
 * `npm run chaos:barrier -- --minutes N --seed S [--servers 1|3] [--no-barrier] [--attacker]`: exit code 1 where somebody saw what he should not, or
 * not what he should; 2 where that cannot be decided.
 */
import { parseArgs } from "node:util";
import { barrierRun } from "./barrier.ts";

/** What starting, judging and ending take at most. */
const HANG_MS = 180_000;

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "2" },
    seed: { type: "string", default: String(Date.now() % 100_000) },
    servers: { type: "string", default: "1" },
    "no-barrier": { type: "boolean", default: false },
    attacker: { type: "boolean", default: false },
  },
});
const print = (line: string) => process.stdout.write(`${line}\n`);
const seed = Number(values.seed);
const servers = values.servers === "3" ? 3 : 1;
print(`seed ${seed}, ${servers} nats-server${servers > 1 ? "s" : ""}`);
const limit = Number(values.minutes) * 60_000 + HANG_MS;
setTimeout(() => {
  print(`did not end within ${limit / 1000} s`);
  process.exit(2);
}, limit).unref();
const { findings, ...counts } = await barrierRun({
  seconds: Number(values.minutes) * 60,
  seed,
  servers,
  barrier: !values["no-barrier"],
  attacker: values.attacker,
  say: print,
}).catch((error) => {
  print(`trouble: ${error instanceof Error ? error.stack : error}`);
  process.exit(2);
});
print(JSON.stringify(counts));
for (const { what, detail } of findings.slice(0, 50)) print(`${what}: ${detail}`);
print(
  findings.length === 0 ? "everybody saw what he might, and nobody what he might not" : `${findings.length} findings`,
);
process.exitCode = findings.length === 0 ? 0 : 1;
