/** `npm run chaos:bridge -- --minutes N --seed S`: exit code 1 where RECORDS is not what was committed. */
import { parseArgs } from "node:util";
import { chaos } from "./chaos.ts";
import { startWorld } from "./world.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "2" },
    seed: { type: "string", default: String(Date.now() % 100_000) },
  },
});
const seed = Number(values.seed);
const print = (line: string) => process.stdout.write(`${line}\n`);
print(`seed ${seed}`);
await using world = await startWorld();

const { findings, commits, rows, messages, kills } = await chaos(world, {
  seconds: Number(values.minutes) * 60,
  seed,
  say: print,
});
print(`${commits} commits with ${rows} log rows; ${messages} messages in RECORDS; kills ${JSON.stringify(kills)}`);
for (const { what, detail } of findings.slice(0, 50)) print(`${what}: ${detail}`);
print(findings.length === 0 ? "RECORDS is what was committed" : `${findings.length} findings`);
process.exitCode = findings.length === 0 ? 0 : 1;
