/** nats-server goes away and comes back, with all it had or with less: sessions return with the current rights and no others. */
import assert from "node:assert/strict";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { runBridge } from "../../../bridge/main.ts";
import { type ClientStatus, type LiveEvent, sessionId } from "../../../client/mod.ts";
import { until } from "../../../dev/testing/until.ts";
import { silentLog } from "../../../runtime/log/log.ts";
import { createScope } from "../../../runtime/scope.ts";
import { hostService } from "../../../runtime/service-host.ts";
import { leaks, sharedPattern } from "../../support/checks/leaks.ts";
import { connectLine, openRawClient } from "../../support/clients/raw-client.ts";
import { inSpiteOfStalls } from "../../support/servers/stalls.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

/** What a client of the product knows. */
async function follow(stack: TestStack, token: string) {
  const client = await stack.connectClient(token);
  const state = { status: "connecting" as ClientStatus, patterns: [] as string[], events: [] as LiveEvent[] };
  client.watch((status, who) => Object.assign(state, { status, patterns: who?.grants.subscribe ?? [] }));
  await client.events({ onEvent: (event) => void state.events.push(event) }).ready;
  return state;
}

type Outcome = "out" | "with the right" | "without it";

/** One login of bob's with a subscription to alice's project right behind it. */
async function probe(stack: TestStack): Promise<Outcome> {
  const client = await openRawClient(stack.nats.websocketUrl);
  const options = { auth_token: stack.cluster.users.bob.token.v2, user: sessionId() };
  client.send(`${connectLine(options)}SUB ${sharedPattern(stack)} 1\r\nPING\r\n`);
  const isClosed = () => client.socket.readyState === client.socket.CLOSED;
  await until(() => isClosed() || client.text().includes("PONG"), "an answer");
  client.socket.close();
  await client.closed;
  if (!client.text().includes("PONG")) return "out";
  return client.text().includes("Permissions Violation") ? "without it" : "with the right";
}

describe("after nats-server was killed", () => {
  let stack: TestStack;
  type Follower = Awaited<ReturnType<typeof follow>>;
  let admin: Follower;
  let bob: Follower;

  before(async () => {
    stack = await startTestStack();
    admin = await follow(stack, stack.cluster.users.admin.token.v2);
    bob = await follow(stack, stack.cluster.users.bob.token.v2);
  });
  after(() => stack?.[Symbol.asyncDispose]());

  const heard = ({ events }: Follower, object: string) =>
    events.filter(({ event }) => event.object_uuid === object).length;
  const follows = (project: string) => () =>
    bob.status === "following" && bob.patterns.some((pattern) => pattern.endsWith(`.${project}.>`));
  const saved = () => join(stack.nats.dir, "saved");
  const store = () => join(stack.nats.dir, "store");

  it("sessions come back by themselves, with the rights that changed meanwhile, and no removal is lost", async () => {
    const { users, projects, collections } = stack.cluster;
    await stack.demo.actions.share?.();
    await until(follows(projects.genomes), "bob to follow what was shared");
    const outcome = await inSpiteOfStalls(
      () => probe(stack),
      (seen) => seen === "out",
    );
    assert.equal(outcome, "with the right");

    await stack.nats.kill9();
    await until(() => [bob, admin].every(({ status }) => status === "disconnected"), "their sessions to end");
    await cp(store(), saved(), { recursive: true });
    await stack.demo.actions.unshare?.();
    await stack.arvados.share(users.bob.uuid, projects.sharedData, "can_read", { by: users.admin.uuid });
    await stack.nats.restart();
    await until(follows(projects.sharedData), "bob to follow what he may read now");
    await until(() => admin.status === "following", "the admin to be back");
    assert.ok(!follows(projects.genomes)());

    await stack.demo.actions.update?.();
    await stack.arvados.updateCollection(collections.atlas, { name: "Atlas, revised", by: users.admin.uuid });
    await until(() => heard(bob, collections.atlas) === 1, "bob to hear of it");
    await until(() => heard(admin, collections.reads) === 1, "the admin to hear all");
    assert.equal(heard(bob, collections.reads), 0);
    assert.equal(await leaks(stack, 1), 0);
  });

  it("and has lost the end of its streams, no session has a right from before", async () => {
    const { config, services } = stack;
    const { projects, collections } = stack.cluster;
    const revision = async () => {
      const text = await (await fetch(`${services.authcallout.adminUrl}/metrics`)).text();
      return Number(/^arvados_nats_authcallout_graph_revision (\d+)$/m.exec(text)?.[1]);
    };
    const before = await revision();
    // No bridge runs that could repair it.
    await services.bridge.drain();
    await stack.nats.kill9();
    const heardByBob = heard(bob, collections.reads);
    await rm(store(), { recursive: true });
    await cp(saved(), store(), { recursive: true });
    const outcomes: Outcome[] = [];
    const probing = async () => outcomes.push(await probe(stack));
    const back = stack.nats.restart();
    await until(
      async () => (await probing()) && (await revision()) > 0 && (await revision()) < before,
      "it to be read",
    );
    await back;
    await probing();
    assert.deepEqual(new Set(outcomes), new Set(["out"]), "what is there now shares with him what he lost");

    await using scope = createScope();
    const log = silentLog();
    await hostService({ name: "bridge", start: (context) => runBridge(context), config, log, scope });
    await until(async () => (await probing()) && outcomes.at(-1) === "without it", "bob to be let in");
    await until(() => [bob, admin].every(({ status }) => status === "following"), "all to be back");
    assert.ok(follows(projects.sharedData)() && !outcomes.includes("with the right"));
    const heardBefore = heard(admin, collections.reads);
    await stack.demo.actions.update?.();
    await until(() => heard(admin, collections.reads) > heardBefore, "the admin to hear of it");
    assert.equal(heard(bob, collections.reads), heardByBob);
  });
});
