import assert from "node:assert/strict";
import { isUnreadableTime, utcMillis } from "../../../bridge/postgres/row.ts";

describe("PostgreSQL's times", () => {
  it("are UTC, whatever the time zone of the process", () => {
    assert.equal(utcMillis("2026-11-25 01:47:29.123456"), Date.UTC(2026, 10, 25, 1, 47, 29, 123));
    assert.equal(utcMillis("2026-11-25 01:47:29"), Date.UTC(2026, 10, 25, 1, 47, 29));
    assert.equal(utcMillis("2026-11-25 01:47:29.1"), Date.UTC(2026, 10, 25, 1, 47, 29, 100));
    assert.equal(utcMillis("0001-01-01 00:00:00"), Date.parse("0001-01-01T00:00:00Z"));
    assert.equal(utcMillis("9999-12-31 23:59:59.999999"), Date.parse("9999-12-31T23:59:59.999Z"));
  });

  for (const never of [null, undefined, "infinity", "10000-01-01 00:00:00", "294276-12-31 23:59:59.999999"]) {
    it(`never come where they are ${never}`, () => {
      assert.equal(utcMillis(never), null);
      assert.equal(isUnreadableTime(never), false);
    });
  }

  for (const unreadable of [
    "-infinity",
    "0044-03-15 00:00:00 BC",
    "4713-01-01 00:00:00 BC",
    "25.11.2026 01:47:29.123456",
    "11/25/2026 01:47:29",
    "Wed Nov 25 01:47:29 2026",
    "2026-11-25 01:47:29+09",
    "2026-13-45 01:47:29",
    "2026-11-25T01:47:29Z",
    "",
    "nonsense",
    " 2026-11-25 01:47:29",
    0,
    {},
    new Date(Number.NaN),
  ]) {
    it(`have passed, and are counted, where they are ${JSON.stringify(unreadable)}`, () => {
      assert.equal(utcMillis(unreadable), 0);
      assert.equal(isUnreadableTime(unreadable), true);
    });
  }
});
