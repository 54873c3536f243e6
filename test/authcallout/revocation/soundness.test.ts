import assert from "node:assert/strict";
import { RightsHistory } from "../../../authcallout/revocation/soundness.ts";

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
