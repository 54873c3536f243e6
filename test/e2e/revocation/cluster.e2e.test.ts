/** Three nats-servers with sessions on each: a revocation cuts them all, and waits for a server that does not answer. */
import assert from "node:assert/strict";
import type { NatsServer } from "../../../dev/servers/nats-server.ts";
import { environmentOf } from "../../../dev/testing/environment.ts";
import { until } from "../../../dev/testing/until.ts";
import { bobAt, heardLater, takeBack } from "../../support/checks/leaks.ts";
import { spawnCli } from "../../support/clients/cli.ts";
import { anotherReplica, firstReplica } from "../../support/worlds/callout-process.ts";
import { type StackListener, startTestStack, type TestStack } from "../../support/worlds/stack.ts";

describe("a cluster of three servers, with sessions of one user on each", () => {
  let stack: TestStack;
  let witness: StackListener;

  before(async () => {
    stack = await startTestStack({ servers: 3 });
    witness = await stack.witness();
  });
  after(() => stack?.[Symbol.asyncDispose]());

  const urls = () => stack.servers.map(({ url }) => url);
  const third = () => stack.servers[2] as NatsServer;
  const cli = (...args: string[]) => spawnCli(args, environmentOf(stack.config));
  /** `/readyz` and the metric say that this server is silent, and no other. */
  const named = async (name: string, { adminUrl } = stack.services.authcallout) => {
    const ask = async (path: string) => (await fetch(`${adminUrl}/${path}`)).text();
    let said = "";
    const isNamed = async () => {
      const [readiness, metrics] = await Promise.all([ask("readyz"), ask("metrics")]);
      const count = /^arvados_nats_authcallout_silent_servers \d+$/m.exec(metrics)?.[0] ?? "";
      said = `${readiness}${count}`;
      return readiness.includes(`silent: ${name};`) && count.endsWith(" 1");
    };
    await until(isNamed, () => `${name} to be named, which says: ${said}`);
  };

  it("has every one of them cut by one revocation, before anything later is released", async () => {
    const bobs = await bobAt(stack, [...urls(), ...urls()]);
    await until(await takeBack(stack, witness), "the update");
    await until(() => bobs.every(({ nc }) => nc.isClosed()), "bob to be cut everywhere");
    assert.equal(heardLater(bobs), 0);
  });

  it("holds records while one server is suspended, names it, and cuts its session as soon as it resumes", async () => {
    const bobs = await bobAt(stack, urls());
    process.kill(third().pid, "SIGSTOP");
    const isReleased = await takeBack(stack, witness);
    await until(() => bobs.slice(0, 2).every(({ nc }) => nc.isClosed()), "the others' sessions to be cut");
    await named("n3");
    await stack.demo.actions.update?.();
    assert.ok(!isReleased() && !bobs[2]?.nc.isClosed());
    process.kill(third().pid, "SIGCONT");
    await until(isReleased, "the update");
    await until(() => bobs[2]?.nc.isClosed(), "the last session to be cut");
    assert.equal(heardLater(bobs), 0);
  });

  it("holds records while one of them is dead, and the callout's connections with it, until an admin gives it up", async () => {
    const [first, second, third] = stack.servers as [NatsServer, NatsServer, NatsServer];
    await until(async () => (await cli("servers")).code === 0, "JetStream to have settled after what was before");
    const natsUrl = [second, first, third].map(({ url }) => url).join(" ");
    await using callout = await anotherReplica({ config: { ...stack.config, natsUrl } });
    await firstReplica(stack).drain();
    const bobs = await bobAt(stack, urls());
    const { v2 } = stack.cluster.users.alice.token;
    const alices = await Promise.all([first, third].map(({ url }) => stack.connectBare(v2, url)));
    await second.kill9();
    const isReleased = await takeBack(stack, witness);
    await named("n2", callout);
    await until(() => bobs.every(({ nc }) => nc.isClosed()), "the others' sessions to be cut");
    assert.ok(!isReleased());
    // While the streams that it led have no leader yet, neither can be asked.
    await until(async () => /^n2 .* SILENT$/m.test((await cli("servers")).out), "`servers` to say so");
    await until(async () => (await cli("servers", "forget", "n2")).code === 0, "the admin to be heard");
    await until(isReleased, "the update");
    assert.equal(heardLater(bobs), 0);
    assert.ok(
      alices.every((nc) => !nc.isClosed()),
      "sessions that lost nothing stay",
    );
    await Promise.all(alices.map((nc) => nc.close()));
  });
});
