import assert from "node:assert/strict";
import { visibleIn } from "../../../bridge/postgres/snapshot.ts";
import { BeatClock } from "../../../bridge/progress/beat-clock.ts";
import { Confirmer } from "../../../bridge/progress/confirmer.ts";
import { PositionTracker } from "../../../bridge/progress/position-tracker.ts";
import { formatLsn, type Lsn, parseLsn } from "../../../core/lsn.ts";

describe("WAL positions", () => {
  it("read and write PostgreSQL's form, padded or not", () => {
    assert.equal(formatLsn(parseLsn("00000016/0B374D84")), "16/B374D84");
    assert.throws(() => parseLsn("16"), RangeError);
  });
});

describe("what PostgreSQL may forget", () => {
  it("is only what nats-server has synced", () => {
    const confirmer = new Confirmer(10_000);
    confirmer.stored(100n, 0);
    assert.equal(confirmer.safe(9_999), 0n);
    assert.equal(confirmer.safe(10_000), 100n);
  });

  it("counts the youngest of positions that share an entry", () => {
    const confirmer = new Confirmer(10_000);
    confirmer.stored(100n, 0);
    confirmer.stored(200n, 900);
    assert.equal(confirmer.safe(10_000), 0n, "200 is not that old yet");
    assert.equal(confirmer.safe(10_900), 200n);
  });

  it("advances under a steady load", () => {
    const confirmer = new Confirmer(10_000);
    for (let ms = 0; ms <= 20_000; ms += 10) confirmer.stored(BigInt(ms), ms);
    const safe = confirmer.safe(20_000);
    assert.ok(safe <= 10_000n && safe > 8_000n, String(safe));
  });

  it("never decreases", () => {
    const confirmer = new Confirmer(0);
    confirmer.stored(100n, 0);
    confirmer.stored(50n, 5_000);
    assert.equal(confirmer.safe(60_000), 100n);
  });
});

describe("the staleness clock", () => {
  it("shows the newest sample whose position was passed", () => {
    const clock = new BeatClock();
    assert.equal(clock.beat, null);
    clock.sample(1_000, 10n);
    clock.sample(2_000, 20n);
    clock.sample(3_000, 30n);
    clock.passed(25n);
    assert.equal(clock.beat, 2_000);
  });

  it("advances on an idle database, whose position stays the same", () => {
    const clock = new BeatClock();
    clock.passed(10n);
    for (let ms = 1_000; ms < 60_000; ms += 1_000) clock.sample(ms, 10n);
    assert.equal(clock.beat, 59_000);
  });

  it("stalls while a huge transaction is decoded", () => {
    const clock = new BeatClock();
    clock.sample(1_000, 10n);
    clock.passed(10n);
    for (let ms = 2_000; ms < 60_000; ms += 1_000) clock.sample(ms, 500n);
    assert.equal(clock.beat, 1_000);
    clock.passed(500n);
    assert.equal(clock.beat, 59_000);
  });
});

describe("a snapshot", () => {
  const contains = visibleIn("100:110:103,105");

  it("contains the transactions that had ended before it, and none in progress", () => {
    for (const xid of [7, 99, 100, 104, 109]) assert.ok(contains(xid), String(xid));
    for (const xid of [103, 105, 110, 111, 5000]) assert.ok(!contains(xid), String(xid));
  });

  it("works across the wraparound of transaction ids", () => {
    const epoch = 2n ** 32n;
    const wrapped = visibleIn(`${epoch + 5n}:${epoch + 10n}:${epoch + 7n}`);
    assert.ok(wrapped(2 ** 32 - 1), "just before the wrap");
    assert.ok(wrapped(6));
    assert.ok(!wrapped(7));
    assert.ok(!wrapped(11));
  });
});

describe("the position up to which all work is done", () => {
  it("waits for the oldest open commit, and follows in steps", () => {
    const reached: Lsn[] = [];
    const tracker = new PositionTracker((lsn) => reached.push(lsn));
    tracker.open(10n);
    tracker.passed(10n);
    tracker.open(20n);
    tracker.open(20n);
    tracker.passed(20n);
    tracker.passed(25n);
    assert.equal(tracker.frontier, 0n);
    tracker.close(20n);
    tracker.close(10n);
    assert.equal(tracker.frontier, 10n);
    tracker.close(20n);
    assert.deepEqual(reached, [10n, 25n]);
  });

  it("does not pass a commit whose next part has not come yet", () => {
    const tracker = new PositionTracker();
    tracker.passed(5n);
    tracker.open(10n);
    tracker.close(10n);
    assert.equal(tracker.frontier, 5n);
    tracker.open(10n);
    tracker.passed(10n);
    assert.equal(tracker.frontier, 5n);
    tracker.close(10n);
    assert.equal(tracker.frontier, 10n);
  });
});
