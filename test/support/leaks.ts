/** Rounds of sharing and taking back, watched from the outside: what reaches somebody who may not read it any more. */
import type { TestStack } from "./stack.ts";
import { until } from "./until.ts";

/**
 * alice shares, updates, takes back and updates at once, so many times. bob listens with a bare subscription that heeds no notice.
 * Returns how many updates reached him although they were committed after she took his right back.
 */
export async function leaks(stack: TestStack, rounds: number): Promise<number> {
  const { users, collections, projects } = stack.cluster;
  const witness = await stack.witness();
  const pattern = `arvados.${stack.cluster.clusterId}.live.${users.alice.uuid}.${projects.genomes}.>`;
  let leaked = 0;
  for (let round = 1; round <= rounds; round++) {
    await stack.demo.actions.share?.();
    const bob = await until(
      () => subscribed(stack, users.bob.token.v2, pattern),
      "bob to be let in with the right",
      10_000,
    );
    await stack.demo.actions.update?.();
    await until(() => bob.events === 1, "the update while the right lasts");
    const seen = witness.events.length;
    await stack.demo.actions.unshare?.();
    await stack.demo.actions.update?.();
    await until(
      () => witness.events.slice(seen).some(({ event }) => event.object_uuid === collections.reads),
      "the update",
      15_000,
    );
    await until(() => bob.events > 1 || bob.nc.isClosed(), "bob to be cut");
    leaked += bob.events - 1;
    await bob.nc.close();
  }
  return leaked;
}

/** A connection that has subscribed, or null where the server refuses that yet. */
export async function subscribed(stack: TestStack, token: string, pattern: string) {
  const nc = await stack.connectBare(token);
  const state = { nc, events: 0, refused: false };
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
