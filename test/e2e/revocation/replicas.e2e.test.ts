/** Several callouts: logins are shared, one cuts, another takes over, and a removal waits for each replica that could still undo it. */
import assert from "node:assert/strict";
import { formatBarrierEntry } from "../../../core/barrier/entry.ts";
import { subjectsOf } from "../../../core/subjects.ts";
import { until } from "../../../dev/testing/until.ts";
import { silentLog } from "../../../runtime/log/log.ts";
import { connectService } from "../../../runtime/nats/service-connection.ts";
import { createScope } from "../../../runtime/scope.ts";
import { leaks } from "../../support/checks/leaks.ts";
import { anotherReplica, firstReplica } from "../../support/worlds/callout-process.ts";
import { type StackListener, startTestStack, type TestStack } from "../../support/worlds/stack.ts";

async function admitted(service: { adminUrl: string }): Promise<number> {
  const text = await (await fetch(`${service.adminUrl}/metrics`)).text();
  return Number(/requests_total\{result="admitted",code=""\} (\d+)/.exec(text)?.[1] ?? 0);
}

/** An event behind a removal: resolves with the milliseconds that it was held. */
async function heldFor(stack: TestStack, witness: StackListener): Promise<number> {
  await stack.demo.actions.share?.();
  const seen = witness.events.length;
  await stack.demo.actions.unshare?.();
  const begun = performance.now();
  await stack.demo.actions.update?.();
  const { reads } = stack.cluster.collections;
  await until(() => witness.events.slice(seen).some(({ event }) => event.object_uuid === reads), "the event");
  return performance.now() - begun;
}

describe("several callouts", () => {
  it("share the logins, let nothing through after a removal, and continue when the leader leaves", async () => {
    await using stack = await startTestStack();
    await using second = await anotherReplica(stack);
    assert.ok(firstReplica(stack).leads() && !second.leads());
    assert.equal(await leaks(stack, 4), 0);
    const { v2 } = stack.cluster.users.alice.token;
    const clients = await Promise.all(Array.from({ length: 24 }, () => stack.connectBare(v2)));
    assert.ok((await admitted(firstReplica(stack))) > 0 && (await admitted(second)) > 0, "both have answered");
    await firstReplica(stack).drain();
    await until(() => second.leads(), "the other one to lead");
    assert.equal(await leaks(stack, 2), 0);
    await Promise.all(clients.map((nc) => nc.close()));
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
    const readyz = async () => (await fetch(`${firstReplica(stack).adminUrl}/readyz`)).text();
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
