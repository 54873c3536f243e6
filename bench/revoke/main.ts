/**
 * `npm run bench:revoke [-- --quick] [-- --json FILE]`: what revocations cost whom. From COMMIT until a revoked user's socket is closed
 * and until it heard its last event, with 1,000 sessions and events flowing; one change that cuts many sessions at once; what others
 * feel of somebody who shares and unshares with all users in a loop; and how soon all are back when nats-server is killed under 2,000
 * sessions. The whole product runs in this one process beside PostgreSQL and nats-server, so figures are of the worst place it can run in.
 */
import { startStack } from "../../dev/stack.ts";
import { silentLog } from "../../runtime/log/log.ts";
import { createScope } from "../../runtime/scope.ts";
import { createLoad } from "../support/commit-load.ts";
import { benchArgs, type Measurement, table, writeResults } from "../support/measure.ts";
import { UNBOUNDED } from "../support/unbounded.ts";
import { cutAtOnce, revocations } from "./revocations.ts";
import { shareLoop } from "./share-loop.ts";
import { measureStorm } from "./storm.ts";

const { json, quick } = benchArgs(process.argv.slice(2));

await using scope = createScope();
const stack = await startStack({ scope, log: silentLog(), overrides: UNBOUNDED });
const load = await createLoad(stack.postgres.url(stack.config.postgres.dbname), stack.cluster.projects.genomes);
const rows: Measurement[] = [
  ...(await revocations(stack, load, quick ? { sessions: 1_000, rounds: 40 } : { sessions: 1_000, rounds: 300 })),
  ...(await cutAtOnce(stack, 1_000)),
  ...(await shareLoop(stack, quick ? 4_000 : 20_000)),
  ...(await measureStorm(stack, 2_000)),
];
await load.close();
console.log(table(rows));
if (json !== null) await writeResults(json, "revoke", rows);
await scope.close();
process.exit(0);
