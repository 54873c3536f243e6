/** What time alone changes, and who leads. */
import assert from "node:assert/strict";
import { ServingLoop, type ServingLoopParts } from "../../authcallout/serving-loop.ts";
import { until } from "../../dev/testing/until.ts";
import { silentLog } from "../../runtime/log/log.ts";

describe("a replica that comes to lead", () => {
  it("tells those whose rights grew while nobody led, once", async () => {
    const state = { leads: false, looks: 0, told: 0 };
    const nothing = () => {};
    const enforcer = {
      consider: () => void state.looks++,
      closeLapsed: nothing,
      endWithTokens: nothing,
      tellOutgrown: () => void state.told++,
    };
    const member = {
      leads: () => state.leads,
      replicas: () => 1,
      lapsedFor: () => 0,
      anotherIsFit: () => false,
      mayAnswer: () => true,
      renew: nothing,
    };
    const parts = {
      member,
      enforcer,
      group: { join: nothing, isIn: true },
      overdue: () => 0,
      isFit: () => true,
      endsAt: 1_000,
      spared: () => false,
      now: () => 0,
      log: silentLog(),
    };
    const lookout = new ServingLoop(parts as unknown as ServingLoopParts);
    lookout.start();
    const looked = async (times: number) => {
      const before = state.looks;
      await until(() => state.looks > before + times, "looks");
    };
    await looked(2);
    assert.equal(state.told, 0);
    state.leads = true;
    await looked(2);
    assert.equal(state.told, 1);
    lookout.stop();
  });
});
