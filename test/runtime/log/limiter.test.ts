import assert from "node:assert/strict";
import { LogLimiter } from "../../../runtime/log/limiter.ts";
import type { Logger } from "../../../runtime/log/log.ts";

describe("lines of one kind", () => {
  it("are said once an interval, with how many were left out, and other kinds are not kept waiting", () => {
    let clock = 0;
    const lines: [fields: object, message: string][] = [];
    const log = { warn: (fields: object, message: string) => void lines.push([fields, message]) } as unknown as Logger;
    const limiter = new LogLimiter({ log, now: () => clock, intervalMs: 1_000 });
    for (let i = 0; i < 40_000; i++) limiter.say("warn", "a", () => ({ i }), "a fails");
    limiter.say("warn", "b", () => ({}), "b fails");
    clock = 1_000;
    limiter.say("warn", "a", () => ({ i: 1 }), "a fails");
    assert.deepEqual(lines, [
      [{ i: 0 }, "a fails"],
      [{}, "b fails"],
      [{ i: 1, leftOut: 39_999 }, "a fails"],
    ]);
  });

  it("may be said a few times before they are counted", () => {
    const lines: object[] = [];
    const log = { info: (fields: object) => void lines.push(fields) } as unknown as Logger;
    const limiter = new LogLimiter({ log, now: () => 0, lines: 3 });
    for (let i = 0; i < 10; i++) limiter.say("info", "a", () => ({ i }), "a");
    assert.deepEqual(lines, [{ i: 0 }, { i: 1 }, { i: 2 }]);
  });
});
