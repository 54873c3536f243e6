/** G1: nothing committed after a revocation reaches the revoked user. With its negative control: a server that lies about kicks. */
import assert from "node:assert/strict";
import type { SystemAccount } from "../../authcallout/system-account.ts";
import type { LiveEvent } from "../../client/mod.ts";
import { startTestStack, type TestStack } from "../support/stack.ts";
import { until } from "../support/until.ts";

/** A client that is cut again and again waits longer and longer. */
const BACK_MS = 15_000;

/**
 * alice shares, updates, takes back and updates at once, so many times; ends early when an update that was committed after she took
 * it back reaches bob, and says how many of those did.
 */
async function leaks(stack: TestStack, rounds: number): Promise<number> {
  const { users, collections, projects } = stack.cluster;
  const witness = await stack.witness();
  const bob = await stack.connectClient(users.bob.token.v2);
  const events: LiveEvent[] = [];
  const listener = bob.events({ onEvent: (event) => void events.push(event) });
  let status = "";
  bob.watch((now) => {
    status = now;
  });
  const mayRead = () => listener.patterns().some((pattern) => pattern.includes(projects.genomes));
  const count = () => events.filter(({ event }) => event.object_uuid === collections.reads).length;
  for (let round = 1; round <= rounds; round++) {
    await stack.demo.actions.share?.();
    await until(() => status === "following" && mayRead(), "bob to follow what was shared", BACK_MS);
    await stack.demo.actions.update?.();
    await until(() => count() === round, "the update while the right lasts");
    const seen = witness.events.length;
    await stack.demo.actions.unshare?.();
    await stack.demo.actions.update?.();
    await witness.event(collections.reads, seen);
    const leaked = () => count() > round;
    await until(() => leaked() || (status === "following" && !mayRead()), "bob to be in again, with less", BACK_MS);
    if (count() > round) return count() - round;
  }
  return 0;
}

describe("a revocation", () => {
  it("keeps every later commit from the revoked user, and lets every earlier one come", async () => {
    await using stack = await startTestStack();
    assert.equal(await leaks(stack, 4), 0);
  });

  it("is what keeps them away: with a server that only says it has cut, they come", async () => {
    const liar = (real: SystemAccount): SystemAccount => ({ ...real, kick: async () => true });
    await using stack = await startTestStack({ authcallout: { system: liar } });
    assert.notEqual(await leaks(stack, 1), 0);
  });
});
