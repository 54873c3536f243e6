import assert from "node:assert/strict";
import { RENEWAL_PACE_MS, Renewal } from "../../client/renewal.ts";

function world(random = 0) {
  let clock = 0;
  let timers: { at: number; task: () => void }[] = [];
  const times: number[] = [];
  const after = (ms: number, task: () => void) => {
    const timer = { at: clock + ms, task };
    timers.push(timer);
    return () => {
      timers = timers.filter((one) => one !== timer);
    };
  };
  const renewal = new Renewal(
    { after },
    () => random,
    () => void times.push(clock),
  );
  const pass = (ms: number) => {
    const end = clock + ms;
    for (;;) {
      const next = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      timers = timers.filter((one) => one !== next);
      clock = next.at;
      next.task();
    }
    clock = end;
  };
  return { renewal, times, pass, left: () => timers.length };
}

describe("a session that is given things again and again", () => {
  it("signs in again at once, then once in some seconds, the last time after the last gift", () => {
    const { renewal, times, pass } = world();
    for (let i = 0; i < 30; i++) {
      renewal.want();
      pass(800);
    }
    pass(60_000);
    assert.deepEqual(
      times,
      [0, 1, 2, 3, 4, 5, 6].map((n) => n * RENEWAL_PACE_MS).filter((at) => at <= 24_000 + RENEWAL_PACE_MS),
    );
  });

  it("keeps a rhythm of its own", () => {
    const { renewal, times, pass } = world(0.5);
    renewal.want();
    renewal.want();
    pass(60_000);
    assert.deepEqual(times, [0, 1.25 * RENEWAL_PACE_MS]);
  });

  it("does not where it was cut meanwhile and came back with what it was given, nor after its end", () => {
    const { renewal, times, pass, left } = world();
    renewal.want();
    renewal.want();
    renewal.forget();
    pass(60_000);
    assert.deepEqual(times, [0]);
    renewal.want();
    renewal.want();
    renewal.stop();
    pass(60_000);
    assert.deepEqual([times.length, left()], [2, 0]);
  });
});
