/** G1: nothing committed after a revocation reaches the revoked user. With its negative control: a server that lies about kicks. */
import assert from "node:assert/strict";
import type { SystemAccount } from "../../../authcallout/sessions/system-account.ts";
import { until } from "../../../dev/testing/until.ts";
import { leaks, subscribed } from "../../support/checks/leaks.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

describe("a revocation", () => {
  let stack: TestStack;
  before(async () => {
    stack = await startTestStack({ overrides: { audienceMin: 2 } });
  });
  after(() => stack[Symbol.asyncDispose]());

  it("keeps every later commit from the revoked user, and lets every earlier one come", async () => {
    assert.equal(await leaks(stack, 8), 0);
  });

  it("by a change of routes alone finds no session that keeps the grants of before", async () => {
    const { arvados, cluster } = stack;
    const { alice, bob } = cluster.users;
    const { uuid: project } = await arvados.createProject({ name: "crew's", owner: alice.uuid });
    const { uuid: thing } = await arvados.createCollection({ name: "thing", owner: project });
    const { uuid: crew } = await arvados.createRole({ name: "crew" });
    for (const member of [bob.uuid, alice.uuid]) await arvados.addToRole(member, crew);
    await arvados.share(crew, project, "can_read");
    const witness = await stack.witness();
    const path = `arvados.${cluster.clusterId}.live.${alice.uuid}.${project}.>`;
    const session = await until(() => subscribed(stack, stack.nats.url, path), "bob to be let in");
    await arvados.updateCollection(thing, { name: "seen" });
    await until(() => session.events > 0, "an event while the right lasts");
    // The third makes the crew large: what it is given is published for its members from now on, and stands in nobody's grants.
    const { uuid: third } = await arvados.createUser({ username: "third" });
    await arvados.addToRole(third, crew);
    const [before, seen] = [session.events, witness.events.length];
    await arvados.unshare({ tail: crew, head: project });
    await arvados.updateCollection(thing, { name: "not for bob" });
    await witness.event(thing, seen);
    // What was sent to bob before the witness heard it is there before this is answered.
    if (!session.nc.isClosed()) await Promise.race([session.nc.flush(), session.nc.closed()]);
    assert.equal(session.events, before);
    await session.nc.close();
  });

  it("cuts nobody who never had the right, however often it comes and goes", async () => {
    const { arvados, cluster } = stack;
    const { alice, bob } = cluster.users;
    const { uuid: project } = await arvados.createProject({ name: "to and fro", owner: alice.uuid });
    const witness = await stack.witness();
    const session = await stack.connectBare(bob.token.v2);
    for (let turn = 0; turn < 3; turn++) {
      await arvados.share(bob.uuid, project, "can_read");
      await arvados.unshare({ tail: bob.uuid, head: project });
    }
    const seen = witness.events.length;
    await arvados.updateObject(project, { name: "after" });
    await witness.event(project, seen);
    assert.ok(!session.isClosed());
    await session.flush();
    await session.close();
  });

  it("is what keeps them away: with a server that only says it has cut, they come", async () => {
    const liar = (real: SystemAccount): SystemAccount => ({ ...real, kick: async () => true });
    await using lying = await startTestStack({ authcallout: { system: liar } });
    assert.notEqual(await leaks(lying, 1), 0);
  });
});
