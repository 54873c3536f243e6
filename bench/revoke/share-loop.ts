/** What others feel of a user who shares a project with all users and takes it back, ten times a second, for as long as it lasts. */
import { connect } from "@nats-io/transport-node";
import { connectOptions, sessionId } from "../../client/mod.ts";
import type { Stack } from "../../dev/stack.ts";
import { createLoad } from "../support/commit-load.ts";
import { type Measurement, median, percentiles, quantile, row } from "../support/measure.ts";

const SUBSCRIBERS = 10;
const EVENTS_PER_SECOND = 100;
const TURNS_PER_SECOND = 10;
const ROUNDS = 5;
/** How much longer the others' p99 may be while the loop runs; what the loop's own commits cost PostgreSQL is in it. */
const TARGET = 1.5;

/** @param ms how long each of the two is measured, in all */
export async function shareLoop(
  { arvados, cluster, postgres, config, nats }: Stack,
  ms: number,
): Promise<Measurement[]> {
  const { bob, alice } = cluster.users;
  const { notes, genomes } = cluster.projects;
  const load = await createLoad(postgres.url(config.postgres.dbname), notes);
  const begun = new Map<string, number>();
  let delays: number[] = [];
  const others = await Promise.all(
    Array.from({ length: SUBSCRIBERS }, async () => {
      const nc = await connect({
        servers: nats.url,
        ...(await connectOptions(bob.token.v2, sessionId())),
        reconnect: false,
      });
      nc.subscribe(`arvados.${cluster.clusterId}.live.${bob.uuid}.${notes}.>`, {
        callback: (_error, { subject }) => {
          const since = begun.get(subject.split(".").at(-2) ?? "");
          if (since !== undefined) delays.push(performance.now() - since);
        },
      });
      await nc.flush();
      return nc;
    }),
  );
  let turns = 0;
  const looping = () => {
    let going = true;
    const run = async () => {
      const { allUsersGroup } = arvados.known;
      const from = performance.now();
      for (let turn = 0; going; turn++) {
        await arvados.share(allUsersGroup, genomes, "can_read", { by: alice.uuid });
        await arvados.unshare({ tail: allUsersGroup, head: genomes }, { by: alice.uuid });
        turns++;
        const wait = from + ((turn + 1) * 1_000) / TURNS_PER_SECOND - performance.now();
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      }
    };
    const running = run();
    return async () => {
      going = false;
      await running;
    };
  };
  const measure = async (seconds: number) => {
    delays = [];
    const events = await load.paced(EVENTS_PER_SECOND, seconds, (object) => begun.set(object, performance.now()));
    while (delays.length < events * SUBSCRIBERS) await new Promise((resolve) => setTimeout(resolve, 2));
    return delays;
  };

  const seconds = ms / 1_000 / ROUNDS;
  const [quiet, loud]: [number[], number[]] = [[], []];
  const ratios: number[] = [];
  await measure(seconds);
  for (let round = 0; round < ROUNDS; round++) {
    const before = await measure(seconds);
    const stop = looping();
    const meanwhile = await measure(seconds);
    await stop();
    quiet.push(...before);
    loud.push(...meanwhile);
    ratios.push(quantile(meanwhile, 0.99) / quantile(before, 0.99));
  }
  const cut = others.filter((nc) => nc.isClosed()).length;
  await Promise.all(others.map((nc) => nc.close()));
  await load.close();
  return [
    ...percentiles("others' events, nobody shares", quiet),
    ...percentiles("others' events, share loop", loud),
    row(`others' p99, share loop / nobody: median of ${ROUNDS} rounds`, median(ratios), "x", TARGET),
    row("shares and unshares with all users", turns / (ms / 1_000), "/s"),
    row("others' sessions cut by them", cut, "sessions", 0),
  ];
}
