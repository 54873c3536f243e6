/** As whose a session counts, and which are too many. */
import assert from "node:assert/strict";
import { boundRefusal, excessOf, SessionBounds } from "../../../authcallout/bounds/session-bounds.ts";
import { type Session, Sessions } from "../../../authcallout/sessions/sessions.ts";

const ANONYMOUS = "zzzzz-tpzed-anonymouspublic";
const CONTAINER_TOKEN = "zzzzz-gj3su-container000001";
const NOW = 1_000_000;
const LIMITS = { perUser: 4, perToken: 3, perContainer: 2, perUserContainers: 1_000, perAddress: 2, anonymous: 5 };

function world() {
  const bounds = new SessionBounds({
    limits: LIMITS,
    anonymousUser: ANONYMOUS,
    identity: (token) => ({ token, containers: token === CONTAINER_TOKEN ? ["zzzzz-dz642-1"] : [] }),
  });
  const sessions = new Sessions(({ server, cid, name }) =>
    bounds.countsOf(name, bounds.placeOf(server, cid)).map(({ key }) => key),
  );
  let cid = 0;
  const add = (user: string, token: string, more: Partial<Session> & { network?: string } = {}): Session => {
    const { network, ...rest } = more;
    const name = { user, key: { sessionToken: token, sid: "_" }, revision: { epoch: 1, sequence: 1 }, hash: "h" };
    const session: Session = { server: "S", cid: ++cid, since: cid, name, ...rest };
    if (network) bounds.placed("S", session.cid, network);
    sessions.add(session);
    return session;
  };
  const refused = (user: string, token: string, network: string | null = null) =>
    boundRefusal(bounds.countsOf({ user, key: { sessionToken: token, sid: "_" } }, network), sessions, NOW)?.facts
      .whose ?? null;
  return { bounds, sessions, add, refused };
}

describe("how many sessions there may be", () => {
  it("is bounded by token and by user, and one user's are not another's", () => {
    const { add, refused } = world();
    for (let i = 0; i < 3; i++) add("alice", "t1");
    assert.equal(refused("alice", "t1"), "token t1");
    assert.equal(refused("alice", "t2"), null);
    add("alice", "t2");
    assert.equal(refused("alice", "t3"), "user alice");
    assert.equal(refused("bob", "t4"), null);
  });

  it("counts a container's token by itself, with its suffix or without: 5,000 running containers shut nobody out", () => {
    const { add, refused } = world();
    for (let i = 0; i < 500; i++) add("alice", `c_zzzzz-gj3su-1_zzzzz-dz642-${i}`);
    assert.equal(refused("alice", "t1"), null);
    assert.equal(refused("alice", "c_zzzzz-gj3su-1_zzzzz-dz642-7"), null);
    add("alice", "c_zzzzz-gj3su-1_zzzzz-dz642-7");
    assert.equal(refused("alice", "c_zzzzz-gj3su-1_zzzzz-dz642-7"), "container c_zzzzz-gj3su-1_zzzzz-dz642-7");
    for (let i = 0; i < 2; i++) add("alice", CONTAINER_TOKEN);
    assert.equal(refused("alice", CONTAINER_TOKEN), `container ${CONTAINER_TOKEN}`);
    for (let i = 0; i < 3; i++) add("alice", "t1");
    assert.equal(refused("alice", "c_zzzzz-gj3su-1_zzzzz-dz642-9"), null, "nor the other way round");
    for (let i = 500; i < 997; i++) add("alice", `c_zzzzz-gj3su-1_zzzzz-dz642-${i}`);
    assert.equal(refused("alice", "c_zzzzz-gj3su-1_zzzzz-dz642-new"), "containers-of alice", "but not without end");
  });

  it("counts anonymous sessions by address and all together, once it is known where they came from", () => {
    const { bounds, sessions, add, refused } = world();
    add(ANONYMOUS, "anon", { network: "10.0.0.1" });
    const late = add(ANONYMOUS, "anon");
    assert.equal(refused(ANONYMOUS, "anon", "10.0.0.1"), null);
    bounds.placed("S", late.cid, "10.0.0.1");
    sessions.recount("S", late.cid);
    assert.equal(refused(ANONYMOUS, "anon", "10.0.0.1"), "address 10.0.0.1");
    assert.equal(refused(ANONYMOUS, "anon", "10.0.0.2"), null);
    for (const network of ["10.0.0.2", "10.0.0.3", "10.0.0.4"]) add(ANONYMOUS, "anon", { network });
    assert.equal(refused(ANONYMOUS, "anon", "10.0.0.5"), "anonymous");
  });

  it("does not count an answer that never became a session, once it cannot any more", () => {
    const { add, refused } = world();
    for (let i = 0; i < 3; i++) add("alice", "t1", { pendingUntil: NOW + 1 });
    assert.equal(refused("alice", "t1"), "token t1");
    const later = world();
    const all = Array.from({ length: 3 }, () => later.add("alice", "t1", { pendingUntil: NOW }));
    assert.equal(later.refused("alice", "t1"), null);
    later.sessions.listed("S", all, NOW);
    assert.equal(later.refused("alice", "t1"), "token t1", "but by a listing they have");
  });

  it("gives a place back when a session ends", () => {
    const { sessions, add, refused } = world();
    const [first] = [add("alice", "t1"), add("alice", "t1"), add("alice", "t1")];
    sessions.remove("S", first.cid);
    assert.equal(refused("alice", "t1"), null);
    sessions.forgetServer("S");
    assert.deepEqual([...sessions.counts()], []);
  });

  it("makes the newest too many, and leaves alone what is being cut already or has not come yet", () => {
    const { sessions, add } = world();
    const all = [5, 1, 4, 2, 3].map((since) => add("alice", "t1", { since }));
    add("alice", "t1", { since: 9, pendingUntil: NOW + 5 });
    const leaving = new WeakSet<Session>();
    const count = { key: "token t1", limit: 3 };
    const excess = excessOf(count, sessions, leaving, NOW);
    assert.deepEqual(
      excess.map(({ since }) => since),
      [4, 5],
    );
    for (const session of excess) leaving.add(session);
    assert.deepEqual(excessOf(count, sessions, leaving, NOW), []);
    assert.equal(all.length, 5);
  });
});
