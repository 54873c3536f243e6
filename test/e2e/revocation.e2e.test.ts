/** G1: nothing committed after a revocation reaches the revoked user. With its negative control: a server that lies about kicks. */
import assert from "node:assert/strict";
import type { SystemAccount } from "../../authcallout/system-account.ts";
import { leaks } from "../support/leaks.ts";
import { startTestStack } from "../support/stack.ts";

describe("a revocation", () => {
  it("keeps every later commit from the revoked user, and lets every earlier one come", async () => {
    await using stack = await startTestStack();
    assert.equal(await leaks(stack, 8), 0);
  });

  it("is what keeps them away: with a server that only says it has cut, they come", async () => {
    const liar = (real: SystemAccount): SystemAccount => ({ ...real, kick: async () => true });
    await using stack = await startTestStack({ authcallout: { system: liar } });
    assert.notEqual(await leaks(stack, 1), 0);
  });
});
