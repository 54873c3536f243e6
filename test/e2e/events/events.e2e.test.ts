/** Which event reaches whom, for what people do in Arvados: alice owns and shares with nobody, bob is a stranger, the admin sees all. */
import assert from "node:assert/strict";
import type { LiveEvent } from "../../../client/mod.ts";
import { until } from "../../../dev/testing/until.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

type Hearer = "alice" | "bob" | "admin";
const HEARERS: Hearer[] = ["alice", "bob", "admin"];

describe("an event", () => {
  let stack: TestStack;
  const heard: Record<Hearer, LiveEvent[]> = { alice: [], bob: [], admin: [] };

  before(async () => {
    stack = await startTestStack();
    for (const name of HEARERS) {
      const client = await stack.connectClient(stack.cluster.users[name].token.v2);
      await client.events({ onEvent: (event) => void heard[name].push(event) }).ready;
    }
  });
  after(() => stack?.[Symbol.asyncDispose]());

  /** What each heard about the object, once a marker of his own, committed after it, has come to everybody. */
  async function hearing(object: string): Promise<Record<Hearer, string[]>> {
    const { users } = stack.cluster;
    const { value: markers } = await stack.arvados.tx(async (operations) => {
      const made: string[] = [];
      for (const name of HEARERS) {
        made.push((await operations.createCollection({ name: "marker", owner: users[name].uuid })).uuid);
      }
      return made;
    });
    const has = (name: Hearer, uuid?: string) => heard[name].some(({ event }) => event.object_uuid === uuid);
    await until(() => HEARERS.every((name, place) => has(name, markers[place])), "everybody's marker");
    const of = (name: Hearer) =>
      heard[name].filter(({ event }) => event.object_uuid === object).map(({ event }) => event.event_type);
    return { alice: of("alice"), bob: of("bob"), admin: of("admin") };
  }

  it("about a project and what is in it reaches its owner and admins, through its whole life", async () => {
    const { arvados, cluster } = stack;
    const alice = cluster.users.alice.uuid;
    const project = await arvados.createProject({ name: "p", owner: alice, by: alice });
    const collection = await arvados.createCollection({ name: "c", owner: project.uuid, by: alice });
    await arvados.updateCollection(collection.uuid, { name: "c2", by: alice });
    await arvados.trash(collection.uuid, { by: alice });
    await arvados.deleteObject(collection.uuid, { by: alice });
    const life = ["create", "update", "update", "delete"];
    assert.deepEqual(await hearing(collection.uuid), { alice: life, bob: [], admin: life });
    assert.deepEqual(await hearing(project.uuid), { alice: ["create"], bob: [], admin: ["create"] });
  });

  it("says on the old path that an object left, and to its new readers that it is theirs", async () => {
    const { arvados, cluster } = stack;
    const [alice, bob] = [cluster.users.alice.uuid, cluster.users.bob.uuid];
    const { uuid } = await arvados.createCollection({ name: "gift", owner: alice, by: alice });
    await arvados.move(uuid, bob, { by: alice });
    assert.deepEqual(await hearing(uuid), {
      alice: ["create", "left"],
      bob: ["update"],
      admin: ["create", "left", "update"],
    });
    const left = heard.alice.findLast(({ event }) => event.object_uuid === uuid);
    assert.ok(!JSON.stringify(left?.event).includes(bob), "not where to");
  });

  it("says the same of a project that is moved into another one", async () => {
    const { arvados, cluster } = stack;
    const [alice, bob] = [cluster.users.alice.uuid, cluster.users.bob.uuid];
    const { uuid } = await arvados.createProject({ name: "moving", owner: alice, by: alice });
    await arvados.move(uuid, bob, { by: alice });
    const actions = await hearing(uuid);
    assert.deepEqual(actions.admin, ["create", "left", "update"]);
    assert.deepEqual(actions.bob, ["update"]);
  });

  it("about a container comes to the readers of its request, under that request", async () => {
    const { arvados, cluster } = stack;
    const { container, containerRequest } = cluster;
    await arvados.setContainerState(container.uuid, "Complete", { exitCode: 0 });
    const actions = await hearing(container.uuid);
    assert.deepEqual(actions, { alice: ["update"], bob: [], admin: ["update"] });
    const event = heard.alice.findLast(({ event }) => event.object_uuid === container.uuid);
    assert.ok(event?.subject.endsWith(`.${containerRequest}.${container.uuid}.containers`), event?.subject);
    assert.equal(event?.event.attributes.state, "Complete");
  });

  it("about a token reaches its user only, and nobody gets its secret", async () => {
    const { arvados, cluster } = stack;
    const token = await arvados.issueToken(cluster.users.alice.uuid);
    const actions = await hearing(token.uuid);
    assert.deepEqual(actions.alice, ["create"]);
    assert.deepEqual(actions.bob, []);
    assert.ok(!JSON.stringify(heard).includes(token.secret));
  });

  it("does not come from a log row that somebody made up", async () => {
    const { arvados, cluster } = stack;
    const { reads } = cluster.collections;
    await arvados.insertForgedLog({ objectUuid: reads, eventType: "update", by: cluster.users.bob.uuid });
    assert.deepEqual(await hearing(reads), { alice: [], bob: [], admin: [] });
  });

  it("does not come from a transaction that was rolled back, or from part of one", async () => {
    const { arvados, cluster } = stack;
    const alice = cluster.users.alice.uuid;
    let undone = "";
    const attempt = arvados.tx(async (operations) => {
      undone = (await operations.createCollection({ name: "undone", owner: alice })).uuid;
      throw new Error("rolled back");
    });
    await assert.rejects(attempt, /rolled back/);
    assert.deepEqual((await hearing(undone)).admin, []);
  });

  it("of one commit comes in the commit's order, and once", async () => {
    const { arvados, cluster } = stack;
    const alice = cluster.users.alice.uuid;
    const { value: uuids } = await arvados.tx(async (operations) => {
      const made: string[] = [];
      for (let i = 0; i < 50; i++) made.push((await operations.createCollection({ name: `n${i}`, owner: alice })).uuid);
      return made;
    });
    await hearing(uuids.at(-1) ?? "");
    for (const name of ["alice", "admin"] as const) {
      const order = heard[name].map(({ event }) => event.object_uuid).filter((uuid) => uuids.includes(uuid));
      assert.deepEqual(order, uuids, name);
    }
  });
});
