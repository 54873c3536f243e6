/** A client of few manners at the edge hears no notices, and yet gets what it was given meanwhile; ours does it by itself, and stays connected. */
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { sessionId } from "../../../client/mod.ts";
import { CLOSE_CODES } from "../../../core/close-codes.ts";
import { until } from "../../../dev/testing/until.ts";
import { connectLine, openRawClient } from "../../support/clients/raw-client.ts";
import { startTestStack } from "../../support/worlds/stack.ts";

describe("a session at the edge whose user was given more", () => {
  it("is ended by the edge with the reason, and its next login has it; nobody else is", async () => {
    await using stack = await startTestStack();
    const { users, projects } = stack.cluster;
    const door = `${stack.url.replace(/^http/, "ws")}/nats`;
    const pattern = `arvados.${stack.config.clusterId}.live.${users.alice.uuid}.${projects.genomes}.>`;
    const open = async (token: string) => {
      const client = await openRawClient(door);
      client.send(`${connectLine({ user: sessionId(), pass: token })}SUB ${pattern} 1\r\nPING\r\n`);
      await until(() => client.text().includes("PONG\r\n"), "PONG");
      return client;
    };
    const refused = /-ERR 'Permissions Violation for Subscription/;
    const [bob, alice] = [await open(users.bob.token.v2), await open(users.alice.token.v2)];
    assert.match(bob.text(), refused);

    await stack.demo.actions.share?.();
    assert.equal((await bob.closed).code, CLOSE_CODES.permissionsGrown.code);
    const again = await open(users.bob.token.v2);
    assert.doesNotMatch(again.text(), refused);
    assert.equal(alice.socket.readyState, alice.socket.OPEN);
    for (const { socket } of [again, alice]) socket.close();
    await Promise.all([again.closed, alice.closed]);
  });
});

describe("a session of our client whose user is given one thing after another", () => {
  const GIFTS = 6;

  it("is hardly ever away, and has the last of them in the end", async () => {
    await using stack = await startTestStack();
    const { users } = stack.cluster;
    const client = await stack.connectClient(users.bob.token.v2);
    const heard: string[] = [];
    await client.events({ onEvent: ({ event }) => void heard.push(event.object_uuid) }).ready;
    let [away, leftAt, times] = [0, 0, 0];
    client.watch((status) => {
      if (status === "disconnected") [leftAt, times] = [performance.now(), times + 1];
      if (status === "following" && leftAt > 0) [away, leftAt] = [away + performance.now() - leftAt, 0];
    });
    const projects: string[] = [];
    for (let i = 0; i < GIFTS; i++) {
      const { uuid } = await stack.arvados.createProject({ name: `gift ${i}`, owner: users.alice.uuid });
      await stack.arvados.share(users.bob.uuid, uuid, "can_read", { by: users.alice.uuid });
      projects.push(uuid);
      await delay(400);
    }
    const hears = async (owner: string) => {
      const { uuid } = await stack.arvados.createCollection({ name: "in it", owner, by: users.alice.uuid });
      return until(() => heard.includes(uuid) || null, "it", 1_000).catch(() => null);
    };
    await until(() => hears(projects.at(-1) as string), "the last gift to be his");
    assert.ok(await hears(projects[0] as string));
    assert.ok(times >= 2 && times <= 5, `${times} logins for ${GIFTS} gifts`);
    assert.ok(leftAt === 0 && away < 1_500, `away for ${Math.round(away)} ms`);
    client.close();
  });
});
