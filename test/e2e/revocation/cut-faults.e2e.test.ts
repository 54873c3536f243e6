/** Callouts that die, stop and wake in the middle of a revocation: nothing leaks. With controls: records that wait for nothing. */
import assert from "node:assert/strict";
import { sessionId } from "../../../client/mod.ts";
import { until } from "../../../dev/testing/until.ts";
import { createScope } from "../../../runtime/scope.ts";
import { bobAt, heardLater, leaks, sharedPattern, takeBack } from "../../support/checks/leaks.ts";
import { openTenures } from "../../support/checks/tenures.ts";
import { connectLine, openRawClient, type RawClient } from "../../support/clients/raw-client.ts";
import { NO_BARRIER } from "../../support/worlds/bridge-guards.ts";
import {
  type Accident,
  anotherReplica,
  type CalloutProcess,
  firstReplica,
  lateKicks,
  startCalloutProcess,
} from "../../support/worlds/callout-process.ts";
import { type StackListener, startTestStack, type TestStack } from "../../support/worlds/stack.ts";

/** Long enough for a session to hear what is not held back. */
const KICK_MS = 300;
const STOPS: Accident = { stops: "with an answer in hand", kickDelay: KICK_MS };

/** bob signs in, with a subscription right behind, until the process stops over a login of his. Resolves with that one. */
async function loginInHand(stack: TestStack, process: CalloutProcess): Promise<RawClient> {
  await process.arm();
  for (;;) {
    const client = await openRawClient(stack.nats.websocketUrl);
    const options = { auth_token: stack.cluster.users.bob.token.v2, user: sessionId() };
    client.send(`${connectLine(options)}SUB ${sharedPattern(stack)} 1\r\nPING\r\n`);
    const isInHand = () => process.said.includes("answer in hand");
    await until(() => isInHand() || client.text().includes("PONG"), "an answer");
    if (isInHand()) return client;
    client.socket.close();
    await client.closed;
  }
}

const heardBy = (client: RawClient) => client.text().split("\r\nMSG ").length - 1;

describe("a revocation", () => {
  let stack: TestStack;
  let witness: StackListener;

  before(async () => {
    stack = await startTestStack();
    witness = await stack.witness();
    // Each test has replicas of its own.
    await firstReplica(stack).drain();
  });
  after(() => stack?.[Symbol.asyncDispose]());

  it("is not undone by a replica that is suspended with an answer in hand and resumes after it", async () => {
    await using leader = await anotherReplica(stack, { system: lateKicks(KICK_MS) });
    await using process = await startCalloutProcess(stack.config, STOPS);
    const bobs = await bobAt(stack, [stack.nats.url]);
    const late = await loginInHand(stack, process);
    const isReleased = await takeBack(stack, witness);
    assert.ok(!isReleased());
    process.signal("SIGCONT");
    await until(() => late.text().includes("PONG"), "the late answer to let bob in");
    await until(isReleased, "the update");
    await until(() => bobs.every(({ nc }) => nc.isClosed()), "the others to be cut");
    await late.closed;
    assert.equal(heardBy(late) + heardLater(bobs), 0);
    await leader.drain();
  });

  it("waits for a leader that is suspended past its lease; when it resumes, it does not lead and answers no login", async () => {
    // It would end every session, were it alone and its graph as old as it seems when it wakes.
    const staleness = { stalenessTail: 2_000, stalenessRefuse: 3_000, stalenessEnd: 4_000 };
    await using process = await startCalloutProcess({ ...stack.config, ...staleness }, STOPS);
    await using second = await anotherReplica(stack);
    await using tenureOf = await openTenures(stack);
    const bobs = await bobAt(stack, [stack.nats.url, stack.nats.url]);
    const alice = await stack.connectBare(stack.cluster.users.alice.token.v2);
    const lease = async () => (await process.readiness())?.lease?.says;
    // Those that died before are still counted for a lease.
    await until(async () => (await lease()) === "held; 2 replicas, leading", "it to lead");

    const former = await tenureOf(process.replica);
    const standing = await tenureOf(second.replica);
    const late = await loginInHand(stack, process);
    const isReleased = await takeBack(stack, witness);
    await until(() => second.leads(), "the other one to lead");
    await until(isReleased, "the update");
    const waited = Date.now() - process.stoppedAt();
    assert.ok(waited > 2_000, `a lease and the life of an answer: ${waited}`);
    const { v2 } = stack.cluster.users.alice.token;
    const clients = await Promise.all(Array.from({ length: 16 }, () => stack.connectBare(v2)));
    await Promise.all(clients.map((nc) => nc.close()));

    process.signal("SIGCONT");
    let readiness: Awaited<ReturnType<typeof process.readiness>> = null;
    // What was sent to it while it slept, over a connection that was closed meanwhile, it has read too.
    const isBack = async () => {
      readiness = await process.readiness();
      return (
        readiness?.lease?.says.startsWith("held; 2 replicas") &&
        readiness.graph?.says === second.readiness().graph?.says
      );
    };
    await until(isBack, () => `it to be back, which says: ${JSON.stringify(readiness)}`);
    const leads = (await lease())?.endsWith("leading");
    assert.ok((await tenureOf(process.replica)) > former, "its tenure is another one");
    assert.ok(
      !leads || (await tenureOf(second.replica)) > standing,
      "it leads only where the other one has fallen back too",
    );
    await late.closed;
    assert.match(late.text(), /-ERR 'Authorization Violation'/);
    assert.equal(await leaks(stack, 2), 0);
    assert.equal(heardBy(late) + heardLater(bobs), 0);
    assert.ok(!alice.isClosed(), "nobody else is cut");
    await alice.close();
    await second.drain();
  });

  it("is finished by another replica when the leader dies between two kicks, and a follower before one of its late answer", async () => {
    await using leader = await startCalloutProcess(stack.config, { dies: "after a kick" });
    await using follower = await startCalloutProcess(stack.config, { ...STOPS, dies: "before a kick" });
    await using scope = createScope();
    const another = async () => {
      const replica = await anotherReplica(stack);
      scope.defer("a replica", () => replica[Symbol.asyncDispose]());
      return replica;
    };
    let third = await another();
    const bobs = await bobAt(stack, Array(4).fill(stack.nats.url));
    const late = await loginInHand(stack, follower);
    const leads = async () => (await leader.readiness())?.lease?.says.endsWith("leading");
    if (!(await leads())) {
      // A stall of the host took its lease: the replica behind it in line comes before it.
      await third.drain();
      await until(leads, "it to lead again");
      third = await another();
    }
    await leader.arm();
    const isReleased = await takeBack(stack, witness);
    await until(() => leader.isOver(), "the leader to die");
    assert.ok(bobs.filter(({ nc }) => nc.isClosed()).length <= 1);
    follower.signal("SIGCONT");
    await until(() => follower.isOver(), "the follower to die");
    assert.ok(!isReleased());
    await until(() => third.leads(), "the last one to lead");
    await until(isReleased, "the update");
    await until(() => bobs.every(({ nc }) => nc.isClosed()), "all to be cut");
    await late.closed;
    assert.equal(heardBy(late) + heardLater(bobs), 0);
    await third.drain();
  });

  it("waits until somebody is there again when all that could enforce it are dead", async () => {
    await using process = await startCalloutProcess(stack.config);
    const bobs = await bobAt(stack, [stack.nats.url, stack.nats.url]);
    process.signal("SIGKILL");
    await until(() => process.isOver(), "the only one to die");
    const isReleased = await takeBack(stack, witness);
    await using another = await anotherReplica(stack);
    await until(() => bobs.every(({ nc }) => nc.isClosed()), "bob to be cut");
    assert.ok(!isReleased());
    await until(isReleased, "the update");
    assert.ok(another.leads());
    assert.equal(heardLater(bobs), 0);
  });
});

describe("where records wait for no revocation", () => {
  it("they reach whom nobody is there to cut, the late login, and whom a leader left over", async () => {
    await using stack = await startTestStack({ bridge: NO_BARRIER });
    const witness = await stack.witness();
    await using process = await startCalloutProcess(stack.config, { ...STOPS, dies: "after a kick", kickDelay: 1_000 });
    await firstReplica(stack).drain();
    const bobs = await bobAt(stack, [stack.nats.url, stack.nats.url]);
    const late = await loginInHand(stack, process);
    await until(await takeBack(stack, witness), "the update");
    await until(() => heardLater(bobs) === 2, "it to reach whom nobody cuts");
    process.signal("SIGCONT");
    await until(() => late.text().includes("PONG"), "the late answer to let bob in");
    await stack.demo.actions.update?.();
    await until(() => heardBy(late) > 0, "the next one to reach him there");
    await until(() => process.isOver(), "the leader to die after a kick");
    const heard = heardBy(late) + heardLater(bobs);
    await stack.demo.actions.update?.();
    await until(() => heardBy(late) + heardLater(bobs) > heard, "the last one to reach whom it left over");
    await Promise.all(bobs.map(({ nc }) => nc.close()));
  });
});
