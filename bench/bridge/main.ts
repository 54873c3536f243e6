/**
 * `npm run bench:bridge [-- --quick] [-- --json FILE]`: COMMIT -> event at 10 subscribers, beside a bare LISTEN relay in the same run, how
 * many events a second the bridge sustains, and what it costs those who write. All share this machine's cores: figures compare within a run.
 */

import { benchArgs, type Measurement, table, writeResults } from "../support/measure.ts";
import { startBridgeBench } from "./bridge-world.ts";
import { commitToEvent } from "./commit-to-event.ts";
import { databaseCost } from "./database-cost.ts";
import { sustained } from "./sustained.ts";

const { json, quick } = benchArgs(process.argv.slice(2));
const SECONDS = quick ? { 1: 3, 100: 3, 1000: 3 } : { 1: 15, 100: 15, 1000: 15 };
const COST_MS = quick ? 250 : 5_000;

const rows: Measurement[] = [];
const add = (more: Measurement[]) => {
  rows.push(...more);
  console.log(table(more));
};
await using world = await startBridgeBench();
await world.load.paced(200, 1, () => {}); // Warm.
await world.settled();
for (const [rate, seconds] of Object.entries(SECONDS)) add(await commitToEvent(world, Number(rate), seconds));
// What one part has written PostgreSQL must not be tidying up during the next.
await world.load.tidy();
add(await databaseCost(world, COST_MS));
await world.load.tidy();
add(await sustained(world, quick));
if (json !== null) await writeResults(json, "bridge", rows);
process.exitCode = rows.every(({ ok }) => ok) ? 0 : 1;
