import assert from "node:assert/strict";
import { LoginQueue } from "../../../authcallout/login/login-queue.ts";

describe("logins that wait", () => {
  function queue(state: { ready: boolean; now: number; cost?: number }) {
    const [started, shed]: [number[], number[]] = [[], []];
    const turns: (() => void)[] = [];
    const logins = new LoginQueue<number>({
      start(item) {
        state.now += state.cost ?? 0;
        return state.ready && started.push(item) > 0;
      },
      onShed: (item) => void shed.push(item),
      patience: 1_000,
      length: 3,
      now: () => state.now,
      later: (callback) => void turns.push(callback),
    });
    return { logins, started, shed, turn: () => turns.shift()?.() };
  }

  it("are answered at once when nobody waits, in order when somebody does", () => {
    const state = { ready: true, now: 0 };
    const { logins, started, turn } = queue(state);
    logins.push(1);
    state.ready = false;
    for (const item of [2, 3]) logins.push(item);
    turn();
    assert.deepEqual(started, [1]);
    state.ready = true;
    turn();
    assert.deepEqual(started, [1, 2, 3]);
  });
  it("that arrive in one burst let other work have its turn between them", () => {
    const state = { ready: true, now: 0, cost: 2 };
    const { logins, started, turn } = queue(state);
    for (const item of [1, 2, 3, 4, 5, 6]) logins.push(item);
    assert.deepEqual(started, [1, 2, 3]);
    // The first turn forgets what was spent, the second one answers those that wait.
    for (let turns = 0; turns < 2; turns++) turn();
    assert.deepEqual(started, [1, 2, 3, 4, 5, 6]);
    logins.push(7);
    assert.equal(logins.length, 0);
  });
  it("are dropped before nats-server gives up, and when there are too many", () => {
    const state = { ready: false, now: 0 };
    const { logins, started, shed, turn } = queue(state);
    for (const item of [1, 2, 3, 4]) logins.push(item);
    assert.deepEqual(shed, [1]);
    state.now = 1_001;
    logins.push(5);
    state.ready = true;
    turn();
    assert.deepEqual({ shed, started, waiting: logins.length }, { shed: [1, 2, 3, 4], started: [5], waiting: 0 });
  });
});
