/** What a replica does from time to time, by a graph that may be old. */
import assert from "node:assert/strict";
import { Enforcer, type EnforcerParts } from "../../authcallout/enforcer.ts";
import type { Action } from "../../authcallout/revocation-plan.ts";
import { Sessions } from "../../authcallout/sessions.ts";
import { silentLog } from "../../runtime/log.ts";

/** A replica whose graph lacks the token of the one session there is. */
function replica(isFit: boolean) {
  const sessions = new Sessions();
  const key = { token: "zzzzz-gj3su-000000000000001", sid: "_" };
  const name = { user: "zzzzz-tpzed-000000000000001", key, revision: { epoch: 1, sequence: 9 }, hash: "h" };
  sessions.add({ server: "N1", cid: 7, name, since: 0 });
  const cuts: Action[] = [];
  const parts = {
    sessions,
    isFit: () => isFit,
    follower: { tokens: { bySessionToken: () => null, endOf: () => "unknown" }, graph: { isActive: () => true } },
    watch: { look: async () => {}, listAll: async () => {} },
    kicker: { cut: async (actions: Action[]) => void cuts.push(...actions) },
    member: { leads: () => false },
    mayBeKnownElsewhere: () => false,
    now: () => 0,
    log: silentLog(),
  };
  return { enforcer: new Enforcer(parts as unknown as EnforcerParts), cuts };
}

describe("a replica that looks through all sessions", () => {
  it("cuts one whose token its graph does not have", async () => {
    const { enforcer, cuts } = replica(true);
    await enforcer.maintain();
    assert.deepEqual(
      cuts.map(({ because }) => because),
      ["tokenEnded"],
    );
  });

  it("does not look while its graph is stale: the token may be newer", async () => {
    const { enforcer, cuts } = replica(false);
    await enforcer.maintain();
    assert.deepEqual(cuts, []);
  });
});
