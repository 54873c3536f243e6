/** Which sockets the edge ends so that their libraries log in again, and how often. */
import assert from "node:assert/strict";
import type { CloseName } from "../../../core/close-codes.ts";
import { GRACE_MS, INTERVAL_MS, type Renewable, Renewals, SPACING_MS } from "../../../proxy/edge/renewals.ts";

function world() {
  let clock = 0;
  const timers: { at: number; callback: () => void }[] = [];
  const ended: [name: string, because: CloseName, at: number][] = [];
  const renewals = new Renewals({
    now: () => clock,
    later: (callback, ms) => void timers.push({ at: clock + ms, callback }),
  });
  const open = (name: string, key = name): Renewable => {
    const socket: Renewable = {
      end(because) {
        ended.push([name, because, clock]);
        renewals.ended(socket);
      },
    };
    renewals.opened(socket, key);
    return socket;
  };
  const pass = (ms: number) => {
    const end = clock + ms;
    for (;;) {
      const [next] = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (!next) break;
      timers.splice(timers.indexOf(next), 1);
      clock = next.at;
      next.callback();
    }
    clock = end;
  };
  return { renewals, ended, timers, open, pass };
}

describe("a session at the edge that was notified of gained rights", () => {
  it("is ended with the reason where it stays, and not where it leaves by itself", () => {
    const { renewals, ended, open, pass } = world();
    open("stays");
    const leaves = open("leaves");
    open("untold");
    renewals.news("stays", "permissionsGrown");
    renewals.news("leaves", "permissionsGrown");
    pass(GRACE_MS - 1);
    assert.deepEqual(ended, []);
    renewals.ended(leaves);
    pass(INTERVAL_MS);
    assert.deepEqual(ended, [["stays", "permissionsGrown", GRACE_MS]]);
  });

  it("gets the last of several reasons, and is ended once", () => {
    const { renewals, ended, open, pass } = world();
    open("bob");
    renewals.news("bob", "permissionsGrown");
    pass(GRACE_MS / 2);
    renewals.news("bob", "objectsMoved");
    pass(INTERVAL_MS);
    assert.deepEqual(ended, [["bob", "objectsMoved", GRACE_MS]]);
  });

  it("is ended once in half a minute however often its rights come and go, and then nothing is kept of it", () => {
    const { renewals, ended, timers, open, pass } = world();
    let socket = open("bob");
    for (let i = 0; i < 200; i++) {
      renewals.news("bob", "permissionsGrown");
      const before = ended.length;
      pass(500);
      if (ended.length > before) socket = open("bob");
    }
    assert.equal(ended.length, 1 + Math.floor((100_000 - GRACE_MS) / INTERVAL_MS));
    for (const [i, [, , at]] of ended.entries()) assert.ok(i === 0 || at - (ended[i - 1]?.[2] ?? 0) >= INTERVAL_MS);
    renewals.ended(socket);
    pass(2 * INTERVAL_MS);
    assert.equal(timers.length, 0);
  });

  it("waits for its turn where many were notified at once", () => {
    const { renewals, ended, open, pass } = world();
    for (let i = 0; i < 100; i++) open(`user ${i}`);
    for (let i = 0; i < 100; i++) renewals.news(`user ${i}`, "permissionsGrown");
    pass(GRACE_MS + 10 * SPACING_MS);
    assert.equal(ended.length, 11);
    pass(100 * SPACING_MS);
    assert.equal(ended.length, 100);
  });

  it("is ended on each of its sockets", () => {
    const { renewals, ended, open, pass } = world();
    open("one", "bob");
    open("two", "bob");
    renewals.news("bob", "objectsMoved");
    pass(GRACE_MS + SPACING_MS);
    assert.deepEqual(
      ended.map(([name]) => name),
      ["one", "two"],
    );
  });

  it("is left alone for half a minute where it left by itself: its client paces its logins", () => {
    const { renewals, ended, open, pass } = world();
    for (let i = 0; i < 7; i++) {
      const socket = open("alice");
      renewals.news("alice", "permissionsGrown");
      pass(i === 0 ? 100 : 4_000);
      renewals.ended(socket);
    }
    assert.deepEqual(ended, []);
    open("alice");
    renewals.news("alice", "permissionsGrown");
    pass(INTERVAL_MS);
    assert.equal(ended.length, 1, "but not without end");
  });

  it("does not wait behind all sockets of one who has many", () => {
    const { renewals, ended, open, pass } = world();
    for (let i = 0; i < 1_000; i++) open(`eve ${i}`, `eve.${i}`);
    open("bob", "bob.1");
    for (let i = 0; i < 1_000; i++) renewals.news(`eve.${i}`, "permissionsGrown");
    renewals.news("bob.1", "permissionsGrown");
    pass(GRACE_MS + 3 * SPACING_MS);
    assert.ok(ended.some(([name]) => name === "bob"));
  });
});
