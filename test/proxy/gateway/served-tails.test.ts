/** How many logs a user may follow, and why a tail ends. */
import assert from "node:assert/strict";
import type { MsgHdrs } from "@nats-io/nats-core";
import { until } from "../../../dev/testing/until.ts";
import type { TailParts } from "../../../proxy/gateway/served-tail.ts";
import { ServedTails, type TailLimits } from "../../../proxy/gateway/served-tails.ts";
import { silentLog } from "../../../runtime/log/log.ts";

function world(limits: Partial<TailLimits> = {}) {
  const ends: string[] = [];
  let clock = 0;
  const app = {
    isClosed: () => false,
    publish: (reply: string, _body: string, { headers }: { headers: MsgHdrs }) =>
      void ends.push(`${reply} ${headers.get("Arvados-Notice")}`),
  };
  const jsm = { consumers: { add: () => Promise.reject(new Error("no room for consumers")) } };
  const isAnonymous = (user: string) => user === "anonymous";
  const tails = new ServedTails({ perUser: 3, total: 100, isAnonymous, ...limits }, silentLog(), () => clock);
  const open = (user: string, sid: string) => {
    const parts = { app, jsm, js: {}, reply: `${user}.${sid}`, subject: "log", from: "start", credit: 1 };
    return tails.open({ sessionToken: user, sid }, user, { ...parts, refusal: () => null } as unknown as TailParts);
  };
  const refused = (user: string, sid: string) => {
    try {
      open(user, sid);
    } catch (error) {
      return (error as Error).message;
    }
    return null;
  };
  const pass = (ms: number) => {
    clock += ms;
  };
  return { tails, ends, open, refused, pass };
}

describe("the logs that are followed", () => {
  it("are bounded by user, over all sessions of the user, and those of others do not count", async () => {
    const { tails, ends, open, refused } = world();
    const id = open("alice", "s1");
    open("alice", "s2");
    open("alice", "s3");
    assert.match(refused("alice", "s4") ?? "", /^this user has reached a limit/);
    assert.equal(refused("bob", "s1"), null);
    tails.stop({ sessionToken: "alice", sid: "s1" }, id);
    tails.start(id);
    await until(() => tails.size === 3, "it to be gone");
    assert.equal(refused("alice", "s4"), null);
    assert.deepEqual(ends, ["alice.s1 stopped"]);
  });

  it("of anonymous users are bounded by session, and by a part of all", () => {
    const { open, refused } = world({ total: 50 });
    for (let i = 0; i < 3; i++) open("anonymous", "s1");
    assert.match(refused("anonymous", "s1") ?? "", /^this session/);
    open("anonymous", "s2");
    open("anonymous", "s3");
    assert.match(refused("anonymous", "s4") ?? "", /^all that are anonymous/);
  });

  it("are bounded in all, and the last of them are for users who follow few", () => {
    const { open, refused } = world({ perUser: 80, total: 100 });
    for (let i = 0; i < 80; i++) open("eve", `s${i % 4}`);
    assert.match(refused("eve", "s1") ?? "", /^this user/);
    for (let user = 0; user < 5; user++) for (let i = 0; i < 4; i++) open(`user${user}`, "s");
    assert.match(refused("another", "s") ?? "", /^this gateway/);
    const scarce = world({ perUser: 80, total: 100 });
    for (let i = 0; i < 80; i++) scarce.open(`many${i % 8}`, "s");
    assert.match(scarce.refused("many1", "s") ?? "", /^this gateway/);
    assert.equal(scarce.refused("bob", "s"), null);
  });

  it("end with the session, and with no other", () => {
    const { tails, ends, open } = world();
    open("alice", "s1");
    open("alice", "s1");
    open("alice", "s2");
    tails.endSession({ sessionToken: "alice", sid: "s1" });
    assert.deepEqual(ends, ["alice.s1 sessionEnded", "alice.s1 sessionEnded"]);
  });

  it("say why they end: a client that is silent, a log that cannot be read", async () => {
    const { tails, ends, open, pass } = world();
    tails.start(open("alice", "s1"));
    await until(() => ends.length > 0, "its end");
    open("bob", "s1");
    pass(61_000);
    tails.endSilent();
    assert.deepEqual(ends, ["alice.s1 tailFailed", "bob.s1 clientSilent"]);
  });
});
