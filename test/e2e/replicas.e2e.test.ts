/** Several callouts: logins are shared, one cuts, another takes over, and a removal waits for whoever could still undo it. */
import assert from "node:assert/strict";
import { type AuthcalloutService, runAuthcallout } from "../../authcallout/main.ts";
import { formatBarrierEntry } from "../../core/barrier/entry.ts";
import { subjectsOf } from "../../core/subjects.ts";
import { freePorts } from "../../dev/free-ports.ts";
import { silentLog } from "../../runtime/log.ts";
import { createScope } from "../../runtime/scope.ts";
import { connectService } from "../../runtime/service-connection.ts";
import { type HostedService, hostService } from "../../runtime/service-host.ts";
import { startCalloutProcess } from "../support/callout-process.ts";
import { leaks } from "../support/leaks.ts";
import { startTestStack, type TestStack, type Witness } from "../support/stack.ts";
import { until } from "../support/until.ts";

async function anotherReplica(stack: TestStack) {
  const scope = createScope();
  const service = await hostService({
    name: "authcallout",
    start: runAuthcallout,
    config: stack.config,
    log: silentLog(),
    scope,
  });
  return Object.assign(service, { [Symbol.asyncDispose]: () => scope.close() });
}

function first(stack: TestStack): HostedService<AuthcalloutService> {
  return stack.services.authcallout as HostedService<AuthcalloutService>;
}

async function admitted(service: { adminUrl: string }): Promise<number> {
  const text = await (await fetch(`${service.adminUrl}/metrics`)).text();
  return Number(/requests_total\{result="admitted",code=""\} (\d+)/.exec(text)?.[1] ?? 0);
}

/** An event behind a removal: resolves with the milliseconds that it was held. */
async function heldFor(stack: TestStack, witness: Witness): Promise<number> {
  await stack.demo.actions.share?.();
  const seen = witness.events.length;
  await stack.demo.actions.unshare?.();
  const begun = performance.now();
  await stack.demo.actions.update?.();
  const { reads } = stack.cluster.collections;
  await until(() => witness.events.slice(seen).some(({ event }) => event.object_uuid === reads), "the event", 20_000);
  return performance.now() - begun;
}

describe("several callouts", function () {
  this.timeout(90_000);

  it("share the logins, let nothing through after a removal, and go on when the leader leaves", async () => {
    await using stack = await startTestStack();
    await using second = await anotherReplica(stack);
    assert.ok(first(stack).leads() && !second.leads());
    assert.equal(await leaks(stack, 4), 0);
    const { v2 } = stack.cluster.users.alice.token;
    const clients = await Promise.all(Array.from({ length: 24 }, () => stack.connectBare(v2)));
    assert.ok((await admitted(first(stack))) > 0 && (await admitted(second)) > 0, "both have answered");
    await first(stack).drain();
    await until(() => second.leads(), "the other one to lead", 2_000);
    assert.equal(await leaks(stack, 2), 0);
    await Promise.all(clients.map((nc) => nc.close()));
  });

  it("are held up by one that is stopped with answers of its own, and by nothing else; another takes over within 2 s", async () => {
    await using stack = await startTestStack();
    const [port = 0] = await freePorts(1);
    await using process = await startCalloutProcess(stack.config, port);
    await first(stack).drain();
    await until(async () => /, leading/.test((await process.readiness())?.lease?.says ?? ""), "the process to lead");
    await using second = await anotherReplica(stack);
    const witness = await stack.witness();
    assert.ok((await heldFor(stack, witness)) < 1_000);
    process.signal("SIGSTOP");
    const begun = performance.now();
    const held = heldFor(stack, witness);
    await until(() => second.leads(), "the other one to lead", 2_000);
    assert.ok(performance.now() - begun <= 2_000);
    const waited = await held;
    assert.ok(waited > 2_000 && waited < 8_000, `a lease and the life of an answer: ${waited}`);
    const clients = await Promise.all(
      Array.from({ length: 16 }, () => stack.connectBare(stack.cluster.users.alice.token.v2)),
    );
    assert.equal(clients.length, 16, "the stopped one gets no more logins");
    await Promise.all(clients.map((nc) => nc.close()));
    process.signal("SIGCONT");
    assert.equal(await leaks(stack, 2), 0);
    // Killed, and gone: until then it may still be given a login, which nobody answers.
    await process[Symbol.asyncDispose]();
    assert.equal(await leaks(stack, 1), 0);
  });

  it("let people in again, and lose no removal, after nats-server was killed", async () => {
    await using stack = await startTestStack();
    assert.equal(await leaks(stack, 1), 0);
    await stack.nats.kill9();
    await stack.nats.restart();
    const { v2 } = stack.cluster.users.alice.token;
    const back = await until(() => stack.connectBare(v2).catch(() => null), "a login", 30_000);
    await back.close();
    assert.equal(await leaks(stack, 2), 0);
  });

  it("hold records while a server that was seen is silent, until an admin gives it up", async () => {
    await using stack = await startTestStack();
    await using scope = createScope();
    const { config } = stack;
    const core = await connectService({ config, service: "authcallout", account: "CORE", log: silentLog(), scope });
    const subject = subjectsOf(config.clusterId).barrierServer("ghost");
    const say = (id: string | null) => core.request(subject, formatBarrierEntry({ kind: "server", name: "ghost", id }));
    await say(`N${"A".repeat(55)}`);
    const witness = await stack.witness();
    const readyz = async () => (await fetch(`${first(stack).adminUrl}/readyz`)).text();
    const held = heldFor(stack, witness);
    await until(async () => (await readyz()).includes("ghost"), "/readyz to name it");
    const early = await Promise.race([
      held,
      until(async () => (await readyz()).includes("ghost"), "it").then(() => null),
    ]);
    assert.equal(early, null, "nothing is released meanwhile");
    await say(null);
    assert.ok((await held) > 250);
  });
});

describe("a callout whose graph grows old", function () {
  this.timeout(60_000);

  it("refuses new sessions, then ends the old ones, and says so", async () => {
    const overrides = { stalenessTail: 1_500, stalenessRefuse: 2_000, stalenessEnd: 4_000, stalenessKeepAdmins: true };
    await using stack = await startTestStack({ overrides });
    const { users } = stack.cluster;
    const alice = await stack.connectBare(users.alice.token.v2);
    const admin = await stack.connectBare(users.admin.token.v2);
    await stack.services.bridge.drain();
    await until(
      () =>
        stack.connectBare(users.alice.token.v2).then(
          (nc) => nc.close(),
          () => true,
        ),
      "the refusal",
    );
    assert.ok(!alice.isClosed(), "refused before it is ended");
    assert.match(await (await fetch(`${first(stack).adminUrl}/readyz`)).text(), /graph\.stale/);
    await until(() => alice.isClosed(), "the session to end");
    assert.ok(!admin.isClosed(), "an admin may look what is wrong");
    await admin.close();
  });
});
