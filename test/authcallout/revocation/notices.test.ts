/** What sessions are told of new rights, however often those come and go. */
import assert from "node:assert/strict";
import { NEWS_INTERVAL_MS, Notices } from "../../../authcallout/revocation/notices.ts";
import { type Judge, planActions } from "../../../authcallout/revocation/revocation-plan.ts";
import { type Session, Sessions } from "../../../authcallout/sessions/sessions.ts";
import type { CloseName } from "../../../core/close-codes.ts";

function session(cid: number, user = "bob", token = `t-${user}`): Session {
  const name = {
    user,
    key: { sessionToken: token, sid: "_" },
    revision: { epoch: 1, sequence: 1 },
    hash: `${user}${cid}`,
  };
  return { server: "N1", cid, name, since: 0 };
}

function world() {
  const told: [cid: number, because: CloseName][] = [];
  const counted: CloseName[] = [];
  const timers: { at: number; callback: () => void }[] = [];
  let clock = 0;
  const state = { isNews: true };
  const notices = new Notices({
    publish: ({ cid }, because) => void told.push([cid, because]),
    isNews: () => state.isNews,
    onTold: ({ because }) => void counted.push(because),
    later: (callback, ms) => void timers.push({ at: clock + ms, callback }),
  });
  const pass = (ms: number) => {
    clock += ms;
    for (const timer of timers.splice(0)) {
      if (timer.at <= clock) timer.callback();
      else timers.push(timer);
    }
  };
  const news = (cid: number, user?: string) =>
    notices.news({ session: session(cid, user), do: "notify", because: "permissionsGrown" });
  return { notices, told, counted, timers, state, pass, news };
}

describe("what a session is told", () => {
  it("comes at once, and then twice a second at most however often it changes", () => {
    const { news, told, counted, pass } = world();
    for (let i = 0; i < 100; i++) {
      news(i);
      pass(50);
    }
    assert.ok(told.length >= 5_000 / NEWS_INTERVAL_MS - 1 && told.length <= 5_000 / NEWS_INTERVAL_MS + 1);
    assert.deepEqual(told[0], [0, "permissionsGrown"]);
    assert.equal(counted.length, told.length, "only what was told counts");
  });

  it("is the last word, though it was held", () => {
    const { news, told, pass } = world();
    for (const cid of [1, 2, 3]) news(cid);
    pass(NEWS_INTERVAL_MS);
    assert.deepEqual(
      told.map(([cid]) => cid),
      [1, 3],
    );
  });

  it("is dropped where it was news no more, and nothing is kept of it", () => {
    const { news, told, pass, state, timers } = world();
    news(1);
    news(2);
    state.isNews = false;
    pass(NEWS_INTERVAL_MS);
    assert.deepEqual([told.length, timers.length], [1, 0]);
    news(3);
    assert.equal(told.length, 2, "quiet again: at once");
  });

  it("is nobody else's business", () => {
    const { news, told } = world();
    news(1);
    news(2);
    news(3, "carol");
    assert.deepEqual(
      told.map(([cid]) => cid),
      [1, 3],
    );
  });

  it("before a cut waits for nothing, and takes the place of what was held", () => {
    const { notices, news, told, pass } = world();
    news(1);
    news(2);
    notices.beforeCut({ session: session(2), do: "cut", because: "permissionsChanged" });
    assert.deepEqual(told.at(-1), [2, "permissionsChanged"]);
    pass(NEWS_INTERVAL_MS);
    assert.equal(told.length, 2);
  });
});

describe("a change of the graph", () => {
  const nobody: ReadonlySet<string> = new Set();
  const none = { shrank: new Set(nobody), grew: new Set(nobody), moved: new Set(nobody), outdated: new Set(nobody) };
  const sessions = new Sessions();
  sessions.add(session(1));
  sessions.add(session(2, "carol"));
  const plan = (effect: Partial<typeof none>, soundness: ReturnType<Judge>, changedKeys: string[] = []) =>
    planActions({ ...none, ...effect }, new Set(changedKeys), sessions, () => soundness).map((action) => [
      action.session.cid,
      action.do,
      action.because,
    ]);
  const bob = new Set(["bob"]);

  it("is told to those who have gained, or whose objects have moved, and to nobody else", () => {
    assert.deepEqual(plan({ grew: bob }, "outgrown"), [[1, "notify", "permissionsGrown"]]);
    assert.deepEqual(plan({ moved: bob }, "outgrown"), [[1, "notify", "objectsMoved"]]);
    assert.deepEqual(plan({ grew: bob }, "same"), [], "who has it already");
  });

  it("cuts those who have lost, by the reason that tells whether to come back", () => {
    assert.deepEqual(plan({ shrank: bob }, "unsound"), [[1, "cut", "permissionsChanged"]]);
    assert.deepEqual(plan({ moved: bob, outdated: bob }, "unsound"), [[1, "cut", "permissionsChanged"]]);
    assert.deepEqual(plan({}, "void", ["t-carol"]), [[2, "cut", "tokenEnded"]]);
    assert.deepEqual(plan({ shrank: bob }, "deactivated", ["t-bob"]), [[1, "cut", "userDeactivated"]]);
    assert.deepEqual(plan({ shrank: bob }, "same"), [], "who was let in after it");
  });
});
