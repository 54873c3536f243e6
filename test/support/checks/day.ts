/** A whole day in the life of a cluster, with the real services: what alice does, what bob hears of it, and when no longer. */
import assert from "node:assert/strict";
import type { LiveEvent } from "../../../client/mod.ts";
import { until } from "../../../dev/testing/until.ts";
import type { TestStack } from "../worlds/stack.ts";

/** @param options.credentials false where Arvados has none */
export async function liveADay(stack: TestStack, options: { credentials?: boolean } = {}): Promise<void> {
  const { arvados, cluster, connectClient, witness: openWitness } = stack;
  const [alice, bob] = [cluster.users.alice.uuid, cluster.users.bob.uuid];
  const by = { by: alice };
  const witness = await openWitness();
  const client = await connectClient(cluster.users.bob.token.v2);
  const heard: LiveEvent[] = [];
  let follows: readonly string[] = [];
  client.watch((status, who) => {
    follows = status === "following" ? (who?.grants.subscribe ?? []) : [];
  });
  await client.events({ onEvent: (event) => void heard.push(event) }).ready;
  const follow = (object: string, what: string) =>
    until(() => follows.some((pattern) => pattern.includes(object)), `bob to follow ${what}`);
  const about = (object: string) =>
    heard.filter(({ event }) => event.object_uuid === object).map(({ event }) => event.event_type);
  /** Everything committed so far has reached all its readers. */
  const settled = async () => {
    const { uuid } = await arvados.createCollection({ name: "marker", owner: bob });
    await until(() => about(uuid).length > 0, "bob's own marker");
    await witness.event(uuid);
  };
  const hears = async (object: string, types: string[]) => {
    await settled();
    assert.deepEqual(about(object), types);
  };

  // Nothing is shared.
  const { uuid: project } = await arvados.createProject({ name: "a day", owner: alice, ...by });
  const { uuid: collection } = await arvados.createCollection({ name: "c", owner: project, ...by });
  await hears(collection, []);

  // It is shared, and taken back.
  await arvados.share(bob, project, "can_read", by);
  await follow(project, "the project");
  await arvados.updateCollection(collection, { name: "c2", ...by });
  await hears(collection, ["update"]);
  const { uuid: request, container } = await arvados.createContainerRequest({
    name: "r",
    owner: project,
    committed: true,
    ...by,
  });
  await arvados.runContainer(container ?? "");
  await arvados.completeContainer(container ?? "");
  await hears(request, ["create", "update"]);
  assert.ok(about(container ?? "").includes("update"), "the container's own events");
  await arvados.unshare({ tail: bob, head: project }, by);
  await arvados.updateCollection(collection, { name: "c3", ...by });
  await witness.event(collection);
  await follow(bob, "his own, after the session was cut");
  await hears(collection, ["update"]);

  // It moves to bob, and goes to the trash.
  await arvados.move(collection, bob, by);
  await arvados.trash(collection, { by: bob });
  await arvados.untrash(collection, { by: bob });
  await hears(collection, ["update", "update", "update", "update"]);
  await arvados.trash(project, by);
  await arvados.untrash(project, by);
  await arvados.deleteObject(collection, { by: bob });
  await hears(collection, ["update", "update", "update", "update", "delete"]);

  if (options.credentials === false) return;
  // What has no `id` is shared by itself, and deleted.
  const { uuid: credential } = await arvados.createCredential({ name: "k", ...by });
  await arvados.share(bob, credential, "can_read", by);
  await follow(credential, "the credential");
  await arvados.updateObject(credential, { description: "d" }, by);
  await hears(credential, ["update"]);
  await arvados.deleteObject(credential, by);
  await until(() => !follows.some((pattern) => pattern.includes(credential)) && follows.length > 0, "it to be gone");
  const seenByAdmin = witness.events.filter(({ event }) => event.object_uuid === credential);
  await until(() => seenByAdmin.length > 0, "the admin to hear of the credential");
}
