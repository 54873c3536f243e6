/** A project that is shared with bob, and what is published under his eyes: for tests in which a revocation is missed, or must not be. */
import assert from "node:assert/strict";
import type { LiveEvent } from "../../../client/mod.ts";
import { until } from "../../../dev/testing/until.ts";
import type { StackListener, TestStack } from "../worlds/stack.ts";

export type SharedProject = {
  /** Changes a collection in the project. */
  change(): Promise<void>;
  /** How many events about it bob has heard. */
  heard(): number;
  unshare(): Promise<void>;
  /** Changes a collection in the project, waits until the admin has heard, and says whether bob has. */
  bobHears(): Promise<boolean>;
};

/** Each share has a session of bob's own: one that is cut again and again comes back ever later. Resolves once bob hears. */
export async function shareWithBob(stack: TestStack, witness: StackListener): Promise<SharedProject> {
  const { arvados, cluster, connectClient } = stack;
  const [alice, bob] = [cluster.users.alice.uuid, cluster.users.bob.uuid];
  const by = { by: alice };
  const heard: LiveEvent[] = [];
  let follows: readonly string[] = [];
  const client = await connectClient(cluster.users.bob.token.v2);
  client.watch((status, who) => {
    follows = status === "following" ? (who?.grants.subscribe ?? []) : [];
  });
  await client.events({ onEvent: (event) => void heard.push(event) }).ready;
  const { uuid: project } = await arvados.createProject({ name: "shared", owner: alice, ...by });
  const { uuid: collection } = await arvados.createCollection({ name: "c", owner: project, ...by });
  const has = (object: string, from: number) => heard.slice(from).some(({ event }) => event.object_uuid === object);
  let changes = 0;
  const change = async () => {
    await arvados.updateCollection(collection, { name: `c ${++changes}`, ...by });
  };
  const share: SharedProject = {
    change,
    heard: () => heard.filter(({ event }) => event.object_uuid === collection).length,
    async unshare() {
      await arvados.unshare({ tail: bob, head: project }, by);
    },
    async bobHears() {
      const [from, seen] = [heard.length, witness.events.length];
      await change();
      await witness.event(collection, seen);
      // One marker after the other: a session that has just been cut is not there to hear the first.
      await until(async () => {
        const { uuid: marker } = await arvados.createCollection({ name: "marker", owner: bob });
        return until(() => has(marker, from), "bob's own marker", 500).catch(() => false);
      }, "bob to hear anything");
      return has(collection, from);
    },
  };
  await arvados.share(bob, project, "can_read", by);
  await until(() => follows.some((pattern) => pattern.includes(project)), "bob to follow what was shared");
  assert.ok(await share.bobHears());
  return share;
}
