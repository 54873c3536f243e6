/**
 * `npm run bench:revoke [-- --quick] [-- --json FILE]`: from COMMIT until a revoked user's socket is closed and until it heard its
 * last event, with 1,000 sessions and events flowing; one change that cuts many sessions at once. The whole product runs in this
 * one process beside PostgreSQL and nats-server, so figures are of the worst place it can run in.
 */
import { startStack } from "../dev/stack.ts";
import { silentLog } from "../runtime/log.ts";
import { createScope } from "../runtime/scope.ts";
import { benchArgs, type Row, row, table, writeResults } from "./measure.ts";
import { openSession, type RawSession } from "./raw-session.ts";

const { json, quick } = benchArgs(process.argv.slice(2));
const SESSIONS = 1_000;
const REVOCATIONS = quick ? 40 : 300;
const EVENTS_PER_COMMIT = 10;
const COMMIT_EVERY_MS = 10;
const PARALLEL_LOGINS = 32;

await using scope = createScope();
const stack = await startStack({ scope, log: silentLog() });
const { arvados, cluster } = stack;
const { alice, bob } = cluster.users;
const port = Number(new URL(stack.nats.url).port);
const pattern = `arvados.${cluster.clusterId}.live.${alice.uuid}.${cluster.projects.genomes}.>`;
const rows: Row[] = [];
let opened = 0;

const carol = await arvados.createUser({ username: "carol" });
const carols = await arvados.issueToken(carol.uuid);
await until(async () => (await open(carols.v2))?.close() ?? null);
const crowd = await openMany(SESSIONS, carols.v2);
const flow = startFlow();

const [sockets, lasts]: [number[], number[]] = [[], []];
for (let i = 0; i < REVOCATIONS; i++) {
  await arvados.share(bob.uuid, cluster.projects.genomes, "can_read", { by: alice.uuid });
  const session = await until(async () => {
    const one = await open(bob.token.v2, pattern);
    if (one?.subscribed) return one;
    one?.close();
    return null;
  });
  await until(async () => session.heardAt > 0 || null);
  await arvados.unshare({ tail: bob.uuid, head: cluster.projects.genomes }, { by: alice.uuid });
  const committed = performance.now();
  sockets.push(Math.max(0, (await session.closed) - committed));
  lasts.push(Math.max(0, session.heardAt - committed));
}
const events = await flow.stop();
rows.push(row("events flowing meanwhile", events, "/s"), row("sessions meanwhile", crowd.length, "sessions"));
rows.push(
  ...percentiles("COMMIT to socket closed", sockets, 25),
  ...percentiles("COMMIT to last event heard", lasts, 25),
);

const begun = performance.now();
await arvados.deactivateUser(carol.uuid);
const ends = await Promise.all(crowd.map(({ closed }) => closed));
rows.push(row(`one change that cuts ${crowd.length} sessions: all closed`, Math.max(...ends) - begun, "ms", 1_000));
console.log(table(rows));
if (json !== null) await writeResults(json, "revoke", rows);
await scope.close();
process.exit(0);

function open(token: string, subject?: string): Promise<RawSession | null> {
  return openSession(port, `bench${String(++opened).padStart(16, "0")}`, token, subject);
}

async function openMany(count: number, token: string): Promise<RawSession[]> {
  const sessions: RawSession[] = [];
  let left = count;
  const one = async () => {
    while (left-- > 0) sessions.push(await until(() => open(token)));
  };
  await Promise.all(Array.from({ length: PARALLEL_LOGINS }, one));
  return sessions;
}

/** Commits with events about a collection that bob may read while the share lasts. */
function startFlow() {
  let [count, going] = [0, true];
  const from = performance.now();
  const run = async () => {
    for (let n = 0; going; n++) {
      const next = performance.now() + COMMIT_EVERY_MS;
      await arvados.tx(async (operations) => {
        for (let i = 0; i < EVENTS_PER_COMMIT; i++) {
          const name = `Reads ${n}.${i}`;
          await operations.updateCollection(cluster.collections.reads, { name, by: alice.uuid });
        }
      });
      count += EVENTS_PER_COMMIT;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - performance.now())));
    }
  };
  const running = run();
  return {
    async stop(): Promise<number> {
      going = false;
      await running;
      return (count / (performance.now() - from)) * 1000;
    },
  };
}

function percentiles(what: string, times: number[], target: number): Row[] {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number;
  return [
    row(`${what}: p50`, at(0.5), "ms"),
    row(`${what}: p99 of ${times.length}`, at(0.99), "ms", target),
    row(`${what}: max`, at(1), "ms"),
  ];
}

async function until<T>(look: () => Promise<T | null>): Promise<NonNullable<T>> {
  for (;;) {
    const found = await look();
    if (found !== null) return found as NonNullable<T>;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
