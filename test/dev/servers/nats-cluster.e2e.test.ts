/** Three servers with everything on them. */
import assert from "node:assert/strict";
import { leaks } from "../../support/checks/leaks.ts";
import { startTestStack } from "../../support/worlds/stack.ts";

describe("a cluster of three nats-servers", () => {
  it("carries the whole product: nothing leaks on it", async () => {
    await using stack = await startTestStack({ servers: 3 });
    assert.equal(stack.servers.length, 3);
    assert.equal(await leaks(stack, 2), 0);
  });
});
