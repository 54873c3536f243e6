/** What a replica does from time to time, by a graph that may be old. */
import assert from "node:assert/strict";
import { Enforcer, type EnforcerParts } from "../../../authcallout/revocation/enforcer.ts";
import type { SessionAction } from "../../../authcallout/revocation/revocation-plan.ts";
import { Endings } from "../../../authcallout/sessions/endings.ts";
import { Sessions } from "../../../authcallout/sessions/sessions.ts";
import { silentLog } from "../../../runtime/log/log.ts";

/** A replica whose graph lacks the token of the one session there is. */
function replica(isFit: boolean) {
  const sessions = new Sessions();
  const key = { sessionToken: "zzzzz-gj3su-000000000000001", sid: "_" };
  const name = { user: "zzzzz-tpzed-000000000000001", key, revision: { epoch: 1, sequence: 9 }, hash: "h" };
  sessions.add({ server: "N1", cid: 7, name, since: 0 });
  const cuts: SessionAction[] = [];
  const parts = {
    sessions,
    isFit: () => isFit,
    follower: { tokens: { bySessionToken: () => null, endOf: () => "unknown" }, graph: { isActive: () => true } },
    watch: { look: async () => {}, listAll: async () => {} },
    kicker: { cut: async (actions: SessionAction[]) => void cuts.push(...actions) },
    member: { leads: () => false },
    mayBeKnownElsewhere: () => false,
    now: () => 0,
    log: silentLog(),
  };
  return { enforcer: new Enforcer(parts as unknown as EnforcerParts), cuts };
}

describe("a replica that sees a token end while nobody leads, as when a stall took every lease", () => {
  /** One session, whose token ends at 5 s. */
  function world() {
    const sessions = new Sessions();
    const key = { sessionToken: "zzzzz-gj3su-000000000000001", sid: "_" };
    const revision = { epoch: 1, sequence: 9 };
    const session = { server: "N1", cid: 7, name: { user: "u", key, revision, hash: "h" }, since: 0 };
    sessions.add(session);
    const cuts: SessionAction[] = [];
    const state = { now: 0, leads: false };
    const tokens = {
      bySessionToken: (_: string, at: number) => (at < 5_000 ? { user: "u", expiresAt: 5_000 } : null),
      endOf: () => "expired",
    };
    const parts = {
      sessions,
      endings: new Endings(0),
      sessionTtl: 3_600_000,
      follower: { tokens, revision },
      kicker: { cut: async (actions: SessionAction[]) => void cuts.push(...actions) },
      member: { leads: () => state.leads },
      now: () => state.now,
      log: silentLog(),
    };
    const enforcer = new Enforcer(parts as unknown as EnforcerParts);
    enforcer.connected(session);
    const lookAt = (now: number, leads: boolean) => {
      Object.assign(state, { now, leads });
      enforcer.endWithTokens();
      return cuts.map(({ because }) => because);
    };
    return lookAt;
  }

  it("cuts the session once it leads", () => {
    const lookAt = world();
    assert.deepEqual(lookAt(5_000, false), []);
    assert.deepEqual(lookAt(6_500, true), ["tokenEnded"]);
    assert.deepEqual(lookAt(6_600, true), ["tokenEnded"], "once");
  });

  it("has forgotten it when it leads much later: another one led meanwhile", () => {
    const lookAt = world();
    for (let now = 5_000; now <= 30_000; now += 100) lookAt(now, false);
    assert.deepEqual(lookAt(30_100, true), []);
  });
});

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

describe("a session that cannot be judged", () => {
  it("is cut, and holds up nobody else's judgement", () => {
    const revision = { epoch: 1, sequence: 9 };
    const tokens = {
      bySessionToken(key: string) {
        if (key === "bad") throw new TypeError("what stood in a row");
        return null;
      },
      endOf: () => "expired",
    };
    const lines: string[] = [];
    const log = { error: (fields: object, text: string) => void lines.push(JSON.stringify([fields, text])) };
    const parts = { follower: { tokens }, now: () => 0, log };
    const enforcer = new Enforcer(parts as unknown as EnforcerParts);
    const judged = (token: string) =>
      enforcer.judge({ user: "u", key: { sessionToken: token, sid: "_" }, revision, hash: "h" });
    assert.deepEqual([judged("bad"), judged("good")], ["unsound", "void"]);
    assert.equal(lines.length, 1);
    assert.ok(!lines[0]?.includes("what stood in a row"));
  });
});
