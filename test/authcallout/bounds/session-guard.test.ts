/** The guard of a replica: what it refuses, what it has cut as the leader, and what it says to the others and to the gateways. */
import assert from "node:assert/strict";
import { LoginPauses } from "../../../authcallout/bounds/login-pauses.ts";
import { SessionBounds } from "../../../authcallout/bounds/session-bounds.ts";
import { SessionGuard } from "../../../authcallout/bounds/session-guard.ts";
import type { SessionAction } from "../../../authcallout/revocation/revocation-plan.ts";
import { type Session, Sessions } from "../../../authcallout/sessions/sessions.ts";
import { subjectsOf } from "../../../core/subjects.ts";
import type { Identity } from "../../../core/token/token-index.ts";
import { silentLog } from "../../../runtime/log/log.ts";

const subjects = subjectsOf("zzzzz");
const NOW = 1_000_000;
const LIMITS = { perUser: 2, perToken: 2, perContainer: 2, perUserContainers: 9, perAddress: 1, anonymous: 9 };

function world({ leads = true } = {}) {
  const cuts: string[] = [];
  const said: [subject: string, body: unknown][] = [];
  const heard = new Map<string, (error: null, message: unknown) => void>();
  const core = {
    isClosed: () => false,
    publish: (subject: string, body: string) => void said.push([subject, JSON.parse(body)]),
    subscribe: (subject: string, { callback }: { callback: () => void }) => heard.set(subject, callback),
  };
  const bounds = new SessionBounds({ limits: LIMITS, anonymousUser: "anonymous", identity: () => null });
  const countsOf = ({ server, cid, name }: Session) =>
    bounds.countsOf(name, bounds.placeOf(server, cid)).map(({ key }) => key);
  const sessions = new Sessions(countsOf);
  const pauses = new LoginPauses({ cutsPerMinute: 3, loginsPerMinute: 100 });
  const guard = new SessionGuard({
    core: core as never,
    subjects,
    sessions,
    bounds,
    pauses,
    leads: () => leads,
    cut: (actions: readonly SessionAction[]) =>
      void cuts.push(...actions.map(({ session, because }) => `${session.cid} ${because}`)),
    now: () => NOW,
    log: silentLog(),
  });
  guard.start();
  let cid = 0;
  const session = (user: string, sid = `sid${cid + 1}`): Session => {
    const name = { user, key: { sessionToken: `${user}s`, sid }, revision: { epoch: 1, sequence: 1 }, hash: "h" };
    return { server: "S", cid: ++cid, since: cid, name };
  };
  /** As nats-server's CONNECT event brings it: whichever replica let it in. */
  const connect = (user: string, sid?: string) => {
    const one = session(user, sid);
    sessions.add(one);
    guard.connected(one);
    return one;
  };
  const refused = (user: string, host = "10.0.0.1") =>
    guard.refusal({ user, sessionToken: `${user}s` } as Identity, "sid", host)?.code ?? null;
  const hear = (subject: string, body: unknown) => heard.get(subject)?.(null, { json: () => body });
  return { guard, sessions, cuts, said, session, connect, refused, hear };
}

describe("the guard of sessions", () => {
  it("has the newest cut that another replica let in beyond the bound, once each, where it leads", () => {
    const { connect, cuts, refused } = world();
    for (let i = 0; i < 4; i++) connect("alice");
    connect("bob");
    assert.deepEqual(cuts, ["3 tooManySessions", "4 tooManySessions"]);
    assert.equal(refused("alice"), "login.too_many_sessions");
    assert.equal(refused("bob"), null);
  });

  it("cuts nobody where another leads, and makes up for it when it leads", () => {
    const { connect, cuts, guard } = world({ leads: false });
    for (let i = 0; i < 4; i++) connect("alice");
    assert.deepEqual(cuts, []);
    guard.cutExcess();
    assert.deepEqual(cuts, []);
    const leading = world();
    for (let i = 0; i < 4; i++) leading.sessions.add(leading.session("alice"));
    leading.guard.cutExcess();
    assert.deepEqual(leading.cuts, ["3 tooManySessions", "4 tooManySessions"]);
  });

  it("tells other replicas where an anonymous session came from, and counts theirs", () => {
    const { guard, sessions, session, said, refused, hear, connect, cuts } = world();
    const own = session("anonymous");
    guard.admitted(own, "2001:db8::1");
    sessions.add(own);
    assert.deepEqual(said, [[subjects.sessionPlace, { server: "S", cid: 1, network: "2001:db8:0:0::/64" }]]);
    assert.equal(refused("anonymous", "2001:db8::2"), "login.too_many_sessions");
    assert.equal(refused("anonymous", "10.0.0.9"), null);
    connect("anonymous");
    hear(subjects.sessionPlace, { server: "S", cid: 2, network: "10.0.0.9" });
    assert.equal(refused("anonymous", "10.0.0.9"), "login.too_many_sessions");
    assert.deepEqual(cuts, []);
    connect("anonymous");
    hear(subjects.sessionPlace, { server: "S", cid: 3, network: "10.0.0.9" });
    assert.deepEqual(cuts, ["3 tooManySessions"], "also where the word comes after the session");
  });

  it("refuses whose sessions are cut again and again, and nobody else; an end that is no cut does not count", () => {
    const { guard, connect, sessions, refused } = world();
    for (let i = 0; i < 8; i++) {
      const { server, cid, name } = connect("alice");
      sessions.remove(server, cid);
      guard.ended(server, cid, { name, kicked: i % 2 === 0 });
      if (i < 6) assert.equal(refused("alice"), null);
    }
    assert.equal(refused("alice"), "login.paused");
    assert.equal(refused("bob"), null);
  });

  it("tells the gateways when the last connection of a session has ended", () => {
    const { guard, connect, sessions, said } = world();
    const both = [connect("alice", "same"), connect("alice", "same")];
    for (const { server, cid, name } of both) {
      assert.deepEqual(said, []);
      sessions.remove(server, cid);
      guard.ended(server, cid, { name, kicked: false });
    }
    assert.deepEqual(said, [[subjects.sessionEnded, { user: "alice", token: "alices", sid: "same" }]]);
  });

  it("has a session cut that floods a gateway, and its user wait, also where it has gone already", () => {
    const { connect, cuts, refused, hear } = world();
    connect("eve", "flood");
    connect("eve", "calm");
    hear(subjects.sessionFlood, { user: "eve", token: "eves", sid: "flood" });
    assert.deepEqual(cuts, ["1 flooding"]);
    assert.equal(refused("eve"), "login.paused");
    hear(subjects.sessionFlood, { user: "mallory", token: "mallorys", sid: "gone" });
    assert.equal(refused("mallory"), "login.paused");
    assert.equal(refused("bob"), null);
  });
});
