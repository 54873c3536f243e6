/** `npm run chaos:bridge -- --minutes N --seed S [--servers 1|3] [--unfenced]`: exit code 1 where RECORDS is not what was committed. */
import { parseArgs } from "node:util";
import { CHAOS_WORLD, chaos } from "./chaos.ts";
import { startChaosWorld } from "./world.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "2" },
    seed: { type: "string", default: String(Date.now() % 100_000) },
    servers: { type: "string", default: "1" },
    unfenced: { type: "boolean", default: false },
  },
});
const seed = Number(values.seed);
const servers = values.servers === "3" ? 3 : 1;
const print = (line: string) => process.stdout.write(`${line}\n`);
print(`seed ${seed}, ${servers} nats-server${servers > 1 ? "s" : ""}`);
await using world = await startChaosWorld({ ...CHAOS_WORLD, servers });

const { unfenced } = values;
const seconds = Number(values.minutes) * 60;
const { findings, story, ...counts } = await chaos(world, { seconds, seed, unfenced, say: print });
print(JSON.stringify(counts));
for (const { what, detail } of findings.slice(0, 50)) print(`${what}: ${detail}`);
if (findings.length > 0) print(story.join("\n"));
print(findings.length === 0 ? "RECORDS is what was committed" : `${findings.length} findings`);
process.exitCode = findings.length === 0 ? 0 : 1;
