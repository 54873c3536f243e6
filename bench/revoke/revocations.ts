/** Single revocations while events flow, and one change that takes all from many sessions. */
import type { Stack } from "../../dev/stack.ts";
import type { Load } from "../support/commit-load.ts";
import { type Measurement, percentiles, row } from "../support/measure.ts";
import { openMany, openOne, retried } from "../support/raw-session.ts";

const EVENTS_PER_SECOND = 1_000;
const EVENTS_PER_COMMIT = 10;
const CUT_TARGET_MS = 25;
const ALL_CUT_TARGET_MS = 1_000;

export async function revocations(
  { arvados, cluster, nats }: Stack,
  load: Load,
  { sessions, rounds }: { sessions: number; rounds: number },
): Promise<Measurement[]> {
  const { alice, bob } = cluster.users;
  const port = Number(new URL(nats.url).port);
  const pattern = `arvados.${cluster.clusterId}.live.${alice.uuid}.${cluster.projects.genomes}.>`;
  const crowd = await openMany(port, [cluster.users.admin.token.v2], sessions);
  const stopFlow = load.flow(EVENTS_PER_SECOND, EVENTS_PER_COMMIT);
  const [sockets, lasts]: [number[], number[]] = [[], []];
  for (let i = 0; i < rounds; i++) {
    await arvados.share(bob.uuid, cluster.projects.genomes, "can_read", { by: alice.uuid });
    const session = await retried(async () => {
      const one = await openOne(port, bob.token.v2, pattern);
      if (one?.subscribed) return one;
      one?.close();
      return null;
    });
    await retried(async () => session.heardAt > 0 || null);
    await arvados.unshare({ tail: bob.uuid, head: cluster.projects.genomes }, { by: alice.uuid });
    const committed = performance.now();
    sockets.push(Math.max(0, (await session.closed) - committed));
    lasts.push(Math.max(0, session.heardAt - committed));
  }
  const events = await stopFlow();
  for (const session of crowd) session.close();
  return [
    row("events flowing meanwhile", events, "/s"),
    row("sessions meanwhile", crowd.length, "sessions"),
    ...percentiles("COMMIT to socket closed", sockets, CUT_TARGET_MS),
    ...percentiles("COMMIT to last event heard", lasts, CUT_TARGET_MS),
  ];
}

export async function cutAtOnce({ arvados, nats }: Stack, sessions: number): Promise<Measurement[]> {
  const port = Number(new URL(nats.url).port);
  const carol = await arvados.createUser({ username: "carol" });
  const { v2 } = await arvados.issueToken(carol.uuid);
  const crowd = await openMany(port, [v2], sessions);
  const begun = performance.now();
  await arvados.deactivateUser(carol.uuid);
  const ends = await Promise.all(crowd.map(({ closed }) => closed));
  return [
    row(
      `one change that cuts ${crowd.length} sessions: all closed`,
      Math.max(...ends) - begun,
      "ms",
      ALL_CUT_TARGET_MS,
    ),
  ];
}
