/** What reaches somebody who may not read it any more: alice shares a project and takes it back, bob listens with bare subscriptions. */
import { errors, type NatsConnection } from "@nats-io/nats-core";
import { until } from "../../../dev/testing/until.ts";
import type { StackListener, TestStack } from "../worlds/stack.ts";

/** A connection that heeds no notice and does not come back. */
export type Listener = {
  nc: NatsConnection;
  events: number;
  /** Of these, so many came while the right lasted. */
  before: number;
};

/** alice shares, and updates. Resolves with bob at each of the servers, when each has heard that. */
export async function bobAt(stack: TestStack, urls: readonly string[]): Promise<Listener[]> {
  await stack.demo.actions.share?.();
  const bobs = await Promise.all(
    urls.map((url) => until(() => subscribed(stack, url), "bob to be let in with the right")),
  );
  // Around a change of leaders a cluster may store an event and send it to nobody.
  const heard = async () => {
    await stack.demo.actions.update?.();
    return until(() => bobs.every(({ events }) => events > 0), "it", 5_000).catch(() => null);
  };
  const heardBy = () => bobs.map(({ nc, events }) => `${nc.getServer()} ${events}`).join(", ");
  await until(
    async () => (await heard()) !== null,
    () => `the update while the right lasts; events heard: ${heardBy()}`,
  );
  for (const bob of bobs) bob.before = bob.events;
  return bobs;
}

/** alice takes the right back and updates at once. Resolves with both committed; tells whether the update has been released. */
export async function takeBack(stack: TestStack, witness: StackListener): Promise<() => boolean> {
  const { reads } = stack.cluster.collections;
  const seen = witness.events.length;
  await stack.demo.actions.unshare?.();
  await stack.demo.actions.update?.();
  return () => witness.events.slice(seen).some(({ event }) => event.object_uuid === reads);
}

/** How many events bob has heard since `bobAt`. */
export function heardLater(bobs: readonly Listener[]): number {
  return bobs.reduce((sum, { events, before }) => sum + events - before, 0);
}

/** So many rounds of all that. Returns how many updates reached bob although they were committed after he lost the right. */
export async function leaks(stack: TestStack, rounds: number): Promise<number> {
  const witness = await stack.witness();
  let leaked = 0;
  for (let round = 1; round <= rounds; round++) {
    const bobs = await bobAt(stack, [stack.nats.url]);
    await until(await takeBack(stack, witness), "the update");
    await until(() => heardLater(bobs) > 0 || bobs.every(({ nc }) => nc.isClosed()), "bob to be cut");
    leaked += heardLater(bobs);
    await Promise.all(bobs.map(({ nc }) => nc.close()));
  }
  return leaked;
}

/** Of all that alice's project holds. */
export function sharedPattern({ cluster: { clusterId, users, projects } }: TestStack): string {
  return `arvados.${clusterId}.live.${users.alice.uuid}.${projects.genomes}.>`;
}

/** bob with a subscription, or null where he or that is refused yet. */
export async function subscribed(
  stack: TestStack,
  url: string,
  pattern = sharedPattern(stack),
): Promise<Listener | null> {
  const nc = await stack.connectBare(stack.cluster.users.bob.token.v2, url).catch((error) => {
    if (error instanceof errors.AuthorizationError) return null;
    throw error;
  });
  if (!nc) return null;
  const state = { nc, events: 0, before: 0, refused: false };
  nc.subscribe(pattern, {
    callback(error) {
      if (error) state.refused = true;
      else state.events++;
    },
  });
  // A login that crosses the change is cut and never flushed.
  await Promise.race([nc.flush(), nc.closed()]);
  if (!state.refused && !nc.isClosed()) return state;
  await nc.close();
  return null;
}
