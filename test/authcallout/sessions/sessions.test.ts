import assert from "node:assert/strict";
import { type Session, Sessions } from "../../../authcallout/sessions/sessions.ts";

function session(cid: number, user = "alice", token = "token", since = 0, server = "S1"): Session {
  return {
    server,
    cid,
    since,
    name: { user, key: { sessionToken: token, sid: "_" }, revision: { epoch: 1, sequence: 5 }, hash: "h" },
  };
}
const cids = (sessions: Iterable<Session>) => [...sessions].map(({ cid }) => cid).sort();

describe("the sessions that may live", () => {
  it("are found by user, by token, and by container", () => {
    const sessions = new Sessions();
    sessions.add(session(1));
    sessions.add(session(2, "alice", "c_t2_k1"));
    sessions.add(session(3, "bob", "t3"));
    assert.deepEqual(cids(sessions.of(["alice"])), [1, 2]);
    assert.deepEqual(cids(sessions.of(["t2"])), [2]);
    assert.deepEqual(cids(sessions.of(["k1", "t3"])), [2, 3]);
    sessions.remove("S1", 2);
    assert.deepEqual(cids(sessions.of(["alice", "k1"])), [1]);
  });

  it("are not mixed up between servers", () => {
    const sessions = new Sessions();
    sessions.add(session(1));
    sessions.add(session(1, "bob", "t", 0, "S2"));
    sessions.remove("S2", 1);
    assert.deepEqual(cids(sessions.of(["alice", "bob"])), [1]);
  });

  it("stay until a listing asked for after their answer lacks them", () => {
    const sessions = new Sessions();
    sessions.add(session(1, "alice", "t", 100));
    sessions.listed("S1", [], 100);
    assert.equal(sessions.size, 1, "the listing may be older than the login");
    sessions.listed("S2", [], 200);
    assert.equal(sessions.size, 1, "another server's listing says nothing");
    sessions.listed("S1", [], 200);
    assert.equal(sessions.size, 0);
  });

  it("gain those that a listing shows", () => {
    const sessions = new Sessions();
    sessions.listed("S1", [session(7)], 0);
    assert.deepEqual(cids(sessions.of(["alice"])), [7]);
  });

  it("go with their server", () => {
    const sessions = new Sessions();
    sessions.add(session(1));
    sessions.add(session(2, "bob", "t", 0, "S2"));
    sessions.forgetServer("S1");
    assert.deepEqual(cids(sessions.all()), [2]);
  });
});
