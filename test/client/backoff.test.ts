import { strict as assert } from "node:assert";
import { reconnectDelay } from "../../client/backoff.ts";

/** Times of attempts, as the libraries make them: they ask, wait for what is missing since the last attempt, ask again. */
function attempts(delay: () => number, clock: { now: number }, until: number): number[] {
  const times: number[] = [];
  let last = clock.now - 60_000;
  while (clock.now < until) {
    const wait = delay();
    if (last + wait <= clock.now) {
      last = clock.now;
      times.push(clock.now);
    } else {
      clock.now += Math.max(1, Math.ceil(last + wait - clock.now));
    }
  }
  return times;
}

describe("attempts to reconnect", () => {
  it("begin at once, come ever later, and end up some seconds apart", () => {
    const clock = { now: 0 };
    const times = attempts(
      reconnectDelay(
        () => clock.now,
        () => 0,
      ),
      clock,
      60_000,
    );
    assert.deepEqual(times.slice(0, 4), [0, 100, 200, 400]);
    const gaps = times.slice(1).map((time, i) => time - times[i]!);
    assert.ok(gaps.every((gap, i) => i === 0 || gap >= gaps[i - 1]!));
    assert.ok(times.length < 14 && gaps.at(-1)! === 10_000, String(times));
  });

  it("keep a rhythm of their own in each session", () => {
    const clock = { now: 0 };
    const times = attempts(
      reconnectDelay(
        () => clock.now,
        () => 0.5,
      ),
      clock,
      1_000,
    );
    assert.deepEqual(times.slice(0, 2), [0, 125]);
  });

  it("begin anew after a connection that held, and not after one cut at once", () => {
    const clock = { now: 0 };
    const delay = reconnectDelay(
      () => clock.now,
      () => 0,
    );
    attempts(delay, clock, 5_000);
    clock.now += 500;
    assert.ok(delay() > 1_000);
    clock.now += 20_000;
    assert.equal(delay(), 100);
  });

  it("are told of a login: one that holds ends the outage, however long it has lasted", () => {
    const clock = { now: 0 };
    const delay = reconnectDelay(
      () => clock.now,
      () => 0,
    );
    attempts(delay, clock, 60_000);
    delay.connected();
    clock.now += 1_000;
    assert.equal(delay(), 100);
    attempts(delay, clock, 120_000);
    delay.connected();
    clock.now += 500;
    assert.equal(delay(), 10_000, "one that is cut at once does not");
  });

  it("of a renewal are no failures, whenever it comes", () => {
    const clock = { now: 0 };
    const delay = reconnectDelay(
      () => clock.now,
      () => 0,
    );
    for (let i = 0; i < 30; i++) {
      delay.renewing();
      assert.equal(delay(), 100);
      clock.now += 100;
      delay.connected();
      clock.now += 700;
    }
  });
});
