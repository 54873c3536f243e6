/** A client of few manners at the edge: it hears no notices, and yet gets what it was given meanwhile. */
import assert from "node:assert/strict";
import { sessionId } from "../../client/mod.ts";
import { CLOSE_CODES } from "../../core/close-codes.ts";
import { connectLine, openRawClient } from "../support/raw-client.ts";
import { startTestStack } from "../support/stack.ts";
import { until } from "../support/until.ts";

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
