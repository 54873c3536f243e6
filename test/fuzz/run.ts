/** `npm run fuzz:content -- --minutes N --seed S [--megabytes M]`: exit code 1 where a row costs more than itself, or grants anything. */
import { parseArgs } from "node:util";
import { startBridgeWorld } from "../support/worlds/bridge-world.ts";
import { fuzz } from "./fuzz.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "5" },
    seed: { type: "string", default: String(Date.now() % 100_000) },
    megabytes: { type: "string", default: "64" },
  },
});
const seed = Number(values.seed);
const print = (line: string) => process.stdout.write(`${line}\n`);
print(`seed ${seed}`);
{
  await using world = await startBridgeWorld();
  const seconds = Number(values.minutes) * 60;
  const result = await fuzz(world, { seconds, seed, longest: Number(values.megabytes) * 1024 * 1024, say: print });
  for (const finding of result.findings.slice(0, 50)) print(finding);
  print(result.findings.length === 0 ? "every row cost at most itself" : `${result.findings.length} findings`);
  process.exitCode = result.findings.length === 0 ? 0 : 1;
}
