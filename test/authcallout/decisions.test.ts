/** The callout's pure parts: who may go on, which servers count, who takes logins, who has to wait. */
import assert from "node:assert/strict";
import { GuessLimit } from "../../authcallout/bounds/guess-limit.ts";
import { LoginQueue } from "../../authcallout/login/login-queue.ts";
import { shouldAcceptLogins } from "../../authcallout/login/queue-group.ts";
import { RightsHistory } from "../../authcallout/revocation/soundness.ts";
import { Servers } from "../../authcallout/sessions/servers.ts";
import { allRows } from "../../authcallout/sessions/system-account.ts";
import { fault } from "../../core/errors.ts";

const at = (sequence: number) => ({ epoch: 1, sequence });
const name = (sequence: number, hash = "old", token = "t") => ({
  user: "alice",
  key: { sessionToken: token, sid: "_" },
  revision: at(sequence),
  hash,
});

describe("a session's rights", () => {
  const history = new RightsHistory();
  history.loaded(at(10));
  history.lost(["alice"], at(20));

  it("stand while they are the graph's", () => {
    assert.equal(history.judge(name(1, "now"), "now"), "same");
  });
  it("are unsound where the user has lost something since, or may have", () => {
    assert.equal(history.judge(name(19), "now"), "unsound");
    const bob = { ...name(9), user: "bob" };
    assert.equal(history.judge(bob, "now"), "unsound", "before the graph was read: nobody knows");
  });
  it("are only outgrown where nothing was lost since", () => {
    assert.equal(history.judge(name(20), "now"), "outgrown");
    assert.equal(history.judge({ ...name(10), user: "bob" }, "now"), "outgrown");
  });
  it("fall with the token or container they came by", () => {
    history.lost(["k1"], at(30));
    assert.equal(history.judge({ ...name(25, "old", "c_t1_k1"), user: "carol" }, "now"), "unsound");
    history.lost(["zzzzz-gj3su-1"], at(40));
    const bare = { ...name(35, "old", "hbare"), user: "dave" };
    assert.equal(
      history.judge(bare, "now", { token: "zzzzz-gj3su-1" }),
      "unsound",
      "also where the session is not named for it",
    );
    assert.equal(history.judge(bare, "now"), "outgrown", "negative control");
  });
  it("fall where the token is another user's now, though that one may do the same", () => {
    assert.equal(history.judge(name(50, "now"), "now", { token: "t", user: "bob" }), "unsound");
    assert.equal(history.judge(name(50, "now"), "now", { token: "t", user: "alice" }), "same", "negative control");
  });
  it("fall, where Arvados' API alone speaks for the token, with whatever happened to its row since", () => {
    const vouched = { token: "yyyyy-gj3su-1", vouched: true };
    const session = { ...name(35, "now", "hvouched"), user: "erin" };
    assert.equal(history.judge(session, "now", vouched), "same");
    history.lost(["yyyyy-gj3su-1"], at(50));
    assert.equal(history.judge(session, "now", vouched), "uncertain");
    assert.equal(
      history.judge(session, "now", { ...vouched, vouched: false }),
      "same",
      "negative control: a row decides",
    );
    const other = { token: "yyyyy-gj3su-2", vouched: true };
    assert.equal(
      history.judge({ ...session, revision: at(9) }, "now", other),
      "uncertain",
      "before the graph was read",
    );
  });
});

describe("the servers that may hold sessions", () => {
  it("are all that were ever seen, silent ones too", () => {
    const servers = new Servers();
    assert.equal(servers.seen("n1", "A"), "new");
    assert.equal(servers.seen("n1", "A"), "known");
    servers.seen("n2", "B");
    servers.silent("B");
    assert.deepEqual(servers.ids(), ["A", "B"]);
    assert.equal(servers.silentCount, 1);
  });
  it("lose one whose name comes back under a new id, for good", () => {
    const servers = new Servers();
    servers.seen("n1", "A");
    assert.equal(servers.seen("n1", "A2"), "new");
    assert.deepEqual(servers.ids(), ["A2"]);
    assert.equal(servers.seen("n1", "A"), "former", "a late word of the old process changes nothing");
    assert.deepEqual(servers.ids(), ["A2"]);
  });
  it("lose one that says it shuts down, and one that an admin gives up until it shows up again", () => {
    const servers = new Servers();
    servers.seen("n1", "A");
    servers.seen("n2", "B");
    servers.ended("A");
    assert.equal(servers.forget("n2"), "B");
    assert.deepEqual(servers.ids(), []);
    assert.equal(servers.seen("n2", "B"), "returned");
    assert.equal(servers.forget("n9"), null);
  });
});

describe("a replica takes logins", () => {
  const cases: [serving: boolean, fit: boolean, anotherIsFit: boolean, expected: boolean][] = [
    [true, true, true, true],
    [true, true, false, true],
    [true, false, true, false],
    [true, false, false, true],
    [false, true, true, false],
    [false, true, false, false],
    [false, false, true, false],
    [false, false, false, false],
  ];
  for (const [serving, fit, anotherIsFit, expected] of cases) {
    it(`${expected ? "" : "not "}when serving=${serving}, fit=${fit}, another is fit=${anotherIsFit}`, () => {
      assert.equal(shouldAcceptLogins({ serving, fit, anotherIsFit }), expected);
    });
  }
});

describe("guessing", () => {
  const unknown = fault("token.unknown", { token: "x" });

  it("is refused per address after so many tries, for a while", () => {
    const limit = new GuessLimit(3);
    for (let i = 0; i < 3; i++) {
      assert.ok(!limit.isExhausted("10.0.0.1", 0));
      limit.refused("10.0.0.1", unknown, 0);
    }
    assert.ok(limit.isExhausted("10.0.0.1", 0));
    assert.ok(!limit.isExhausted("10.0.0.2", 0), "nobody else pays for it");
    assert.ok(!limit.isExhausted("10.0.0.1", 20_000));
  });
  it("is not what an expired token or a stale graph does", () => {
    const limit = new GuessLimit(1);
    limit.refused("10.0.0.1", fault("token.expired", { token: "x" }), 0);
    limit.refused("10.0.0.1", fault("graph.stale", {}), 0);
    assert.ok(!limit.isExhausted("10.0.0.1", 0));
  });
  it("from one network of IPv6 is one guesser's, whichever of its addresses", () => {
    const limit = new GuessLimit(1);
    limit.refused("2001:db8:0:1::1", unknown, 0);
    assert.ok(limit.isExhausted("2001:DB8::1:ffff:0:0:1", 0));
    assert.ok(!limit.isExhausted("2001:db8:0:2::1", 0));
  });
  it("from many addresses fills no memory", () => {
    const limit = new GuessLimit(1);
    for (let i = 0; i < 20_000; i++) limit.refused(`a${i}`, unknown, 0);
    assert.ok(!limit.isExhausted("a0", 0) && limit.isExhausted("a19999", 0));
  });
});

describe("logins that wait", () => {
  function queue(taking: { ready: boolean; now: number }) {
    const [taken, shed]: [number[], number[]] = [[], []];
    const turns: (() => void)[] = [];
    const logins = new LoginQueue<number>({
      start: (item) => taking.ready && taken.push(item) > 0,
      onShed: (item) => void shed.push(item),
      patience: 1_000,
      length: 3,
      now: () => taking.now,
      later: (callback) => void turns.push(callback),
    });
    return { logins, taken, shed, turn: () => turns.shift()?.() };
  }

  it("are answered at once when nobody waits, in order when somebody does", () => {
    const state = { ready: true, now: 0 };
    const { logins, taken, turn } = queue(state);
    logins.push(1);
    state.ready = false;
    for (const item of [2, 3]) logins.push(item);
    turn();
    assert.deepEqual(taken, [1]);
    state.ready = true;
    turn();
    assert.deepEqual(taken, [1, 2, 3]);
  });
  it("are dropped before nats-server gives up, and when there are too many", () => {
    const state = { ready: false, now: 0 };
    const { logins, taken, shed, turn } = queue(state);
    for (const item of [1, 2, 3, 4]) logins.push(item);
    assert.deepEqual(shed, [1]);
    state.now = 1_001;
    logins.push(5);
    state.ready = true;
    turn();
    assert.deepEqual({ shed, taken, waiting: logins.length }, { shed: [1, 2, 3, 4], taken: [5], waiting: 0 });
  });
});

describe("a listing in pages", () => {
  const rows = (...cids: number[]) => cids.map((cid) => ({ cid }));
  const cids = (found: { cid: number }[]) => found.map(({ cid }) => cid);

  it("is whole although connections leave between two pages", async () => {
    let all = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    let asked = 0;
    const page = async (offset: number) => {
      if (++asked === 2) all = all.filter((cid) => cid !== 1 && cid !== 2 && cid !== 3);
      return rows(...all.slice(offset, offset + 4));
    };
    const found = cids(await allRows(page, 4, 1));
    for (const cid of [4, 5, 6, 7, 8, 9]) assert.ok(found.includes(cid), `${cid} is there`);
  });
  it("would miss some without looking back", async () => {
    let all = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    const first = all.slice(0, 4);
    all = all.slice(3);
    assert.ok(![...first, ...all.slice(4)].includes(5));
  });
  it("of nothing is nothing", async () => {
    assert.deepEqual(await allRows(async () => rows(), 4, 1), []);
  });
});
