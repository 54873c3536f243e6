import assert from "node:assert/strict";
import { runBridge } from "../../bridge/main.ts";
import { silentLog } from "../../runtime/log.ts";
import { createMetrics } from "../../runtime/metrics.ts";
import { createScope } from "../../runtime/scope.ts";
import { startTestStack } from "../support/stack.ts";

describe("a bridge that waits for another one's slot", () => {
  it("says so, and ends in order when it is asked to", async () => {
    await using stack = await startTestStack();
    await using scope = createScope();
    const metrics = createMetrics("bridge");
    const standby = await runBridge({ config: stack.config, log: silentLog(), metrics, scope });
    const { replication } = standby.readiness();
    assert.equal(replication?.ok, false);
    assert.match(replication?.says ?? "", /^another bridge reads the replication slot/);
    await standby.drain();
    assert.equal((await standby.done) ?? null, null);
  });
});
