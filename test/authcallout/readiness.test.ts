import assert from "node:assert/strict";
import { type CalloutState, calloutReadiness } from "../../authcallout/readiness.ts";
import { failureSays } from "../../replica/replica-health.ts";

const STATE: CalloutState = {
  graph: { fresh: true, revision: "1.5", age: 0, failure: null },
  acceptsLogins: true,
  lease: { held: true, replicas: 1, leads: true, failure: null },
  servers: [],
  sessions: 0,
  revocations: 0,
  waitsFor: [],
  connections: { ok: true, says: "" },
};

describe("what a callout says of itself", () => {
  it("is not ready while a commit cannot be applied, and names it", () => {
    const failure = failureSays({ what: "token row", sequence: 812, reason: "TypeError at x.ts:1", times: 3 });
    const graph = { ...STATE.graph, fresh: false, age: Number.POSITIVE_INFINITY, failure };
    const { ok, says } = calloutReadiness({ ...STATE, graph }).graph ?? {};
    assert.equal(ok, false);
    assert.match(says ?? "", /token row at sequence 812 of GRAPH could not be applied \(3 times so far\)/);
  });

  it("is not ready while BARRIER cannot be read, and names what keeps it", () => {
    const lease = { ...STATE.lease, held: false, failure: "the entry at sequence 9 of BARRIER cannot be taken in" };
    const { ok, says } = calloutReadiness({ ...STATE, lease }).lease ?? {};
    assert.equal(ok, false);
    assert.match(says ?? "", /not held, for the entry at sequence 9 of BARRIER/);
  });
});
