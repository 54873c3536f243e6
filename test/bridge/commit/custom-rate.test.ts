import assert from "node:assert/strict";
import fc from "fast-check";
import {
  CUSTOM_WINDOW_MS,
  CustomRate,
  type CustomVerdict,
  customAllowance,
  customBytes,
  customGap,
} from "../../../bridge/commit/custom-rate.ts";
import type { Lsn } from "../../../core/lsn.ts";
import { declaredStreams, STREAM_PROFILES } from "../../../streams-config/streams.ts";

const WINDOW = 1_000;
const rate = (options: Partial<ConstructorParameters<typeof CustomRate>[0]> = {}) =>
  new CustomRate({ allowance: 100, window: WINDOW, ...options });

type Row = { lsn: Lsn; time: number; actor: string; bytes: number };
const judgeAll = (one: CustomRate, rows: readonly Row[]) =>
  rows.map((row): [Lsn, CustomVerdict] => [row.lsn, one.judge(row, row.actor, row.bytes)]);

describe("custom events of one user", () => {
  it("are routed up to the allowance, then announced once and dropped until the next window", () => {
    const one = rate();
    const at = (time: number) => one.judge({ lsn: BigInt(time), time }, "alice", 40);
    assert.deepEqual([1, 2, 3, 4, 5].map(at), ["routed", "routed", "announced", "dropped", "dropped"]);
    assert.deepEqual([WINDOW, WINDOW + 1, WINDOW + 2].map(at), ["routed", "routed", "announced"]);
  });

  it("are dropped to the window's end, small ones too, and one larger than the allowance is announced", () => {
    const one = rate();
    const sizes = [101, 1, 1];
    assert.deepEqual(
      sizes.map((bytes, i) => one.judge({ lsn: BigInt(i), time: 1 }, "alice", bytes)),
      ["announced", "dropped", "dropped"],
    );
  });

  it("do not reduce another user's allowance", () => {
    const one = rate();
    for (let i = 0; i < 1_000; i++) one.judge({ lsn: BigInt(i), time: 1 }, "mallory", 50);
    assert.equal(one.judge({ lsn: 2_000n, time: 1 }, "alice", 100), "routed");
    assert.equal(one.judge({ lsn: 2_001n, time: 1 }, "alice", 1), "announced");
  });

  it("share one allowance where too many users come, and do not affect those who came before", () => {
    const one = rate({ users: 2 });
    const by = (actor: string) => one.judge({ lsn: 1n, time: 1 }, actor, 60);
    assert.deepEqual(["a", "b", "c", "d", "e", "a"].map(by), [
      "routed",
      "routed",
      "routed",
      "announced",
      "dropped",
      "announced",
    ]);
  });

  it("fill at most a tenth of RECORDS while its messages live, whatever the profile", () => {
    for (const profile of Object.keys(STREAM_PROFILES) as (keyof typeof STREAM_PROFILES)[]) {
      const records = declaredStreams({ clusterId: "zzzzz", profile }).find(({ name }) => name === "RECORDS");
      assert.ok(records);
      const [maxBytes, maxAge] = [records.config.max_bytes, records.config.max_age / 1e6];
      const allowance = customAllowance(maxBytes, maxAge);
      assert.ok((allowance * maxAge) / CUSTOM_WINDOW_MS <= maxBytes / 10);
      assert.ok(allowance >= 10 * customBytes(500, 1), `${profile}: ${allowance} bytes are some ordinary events`);
    }
  });

  it("leave a gap on the route of the first dropped event, with its end, and without content of the writer", () => {
    const event = {
      ...{
        event_type: "shout",
        object_uuid: "zzzzz-4zz18-0",
        object_kind: "arvados#collection",
        object_owner_uuid: "o",
      },
      ...{ event_at: "2026-01-01T00:00:00.000Z", attributes: { name: "x" }, properties: { text: "SHOUT" } },
    };
    const gap = customGap({ ...event, untrusted: true }, Date.UTC(2026, 0, 1, 0, 0, 30));
    assert.equal(gap.event_type, "gap");
    assert.deepEqual([gap.object_uuid, gap.properties?.until], [event.object_uuid, "2026-01-01T00:01:00.000Z"]);
    assert.ok(!/SHOUT|shout|name/.test(JSON.stringify(gap)) && gap.untrusted === undefined);
  });

  describe("get the same verdict from a reader that starts again", () => {
    const SKEW = 4_000;
    const rowsArbitrary = fc
      .array(
        fc.record({
          pause: fc.oneof(fc.nat(50), fc.nat(3 * WINDOW)),
          late: fc.oneof(fc.constant(0), fc.nat(SKEW)),
          actor: fc.constantFrom("a", "b", "c", "d"),
          bytes: fc.integer({ min: 1, max: 120 }),
        }),
        { minLength: 1, maxLength: 60 },
      )
      .map((steps): Row[] => {
        let time = 10 * WINDOW;
        return steps.map(({ pause, late, actor, bytes }, i) => {
          time += pause;
          return { lsn: BigInt(10 * (i + 1)), time: time - late, actor, bytes };
        });
      });

    /** Does a reader that starts at `from` give an unstored event another verdict than the first reader? */
    const differs = (from: (one: CustomRate, stored: Lsn) => Lsn, users: number) =>
      fc.check(
        fc.property(rowsArbitrary, fc.nat(60), fc.nat(60), (rows, a, b) => {
          const [storedTo, readTo] = [Math.min(a, b, rows.length), Math.min(Math.max(a, b), rows.length)];
          const first = rate({ users });
          const stored = storedTo === 0 ? 0n : (rows[storedTo - 1] as Row).lsn;
          const verdicts = new Map<Lsn, CustomVerdict>();
          let start = 0n;
          for (const row of rows.slice(0, readTo)) {
            verdicts.set(row.lsn, first.judge(row, row.actor, row.bytes));
            // It asks all the time, as a bridge does.
            start = from(first, row.lsn < stored ? row.lsn : stored);
          }
          for (const row of rows.slice(readTo)) verdicts.set(row.lsn, first.judge(row, row.actor, row.bytes));
          const again = rows.filter(({ lsn }) => lsn > start);
          for (const [lsn, verdict] of judgeAll(rate({ users }), again)) {
            if (lsn > stored) assert.equal(verdict, verdicts.get(lsn));
          }
        }),
        { numRuns: 2_000 },
      ).failed;

    for (const users of [10, 2]) {
      it(`from the floor, with ${users} separate allowances`, () => {
        assert.equal(
          differs((one, stored) => one.floor(stored), users),
          false,
        );
      });
    }

    it("but not from the stored position: the negative control of the floor", () => {
      assert.equal(
        differs((_one, stored) => stored, 10),
        true,
      );
    });
  });

  it("let PostgreSQL forget once their window has ended and is stored, even if nothing else is committed", () => {
    const one = rate();
    assert.equal(one.floor(5n), 5n, "with none there is nothing to keep");
    one.judge({ lsn: 10n, time: 100 }, "alice", 1);
    one.judge({ lsn: 20n, time: 200 }, "alice", 1);
    assert.equal(one.floor(20n), 9n);
    assert.equal(one.floor(30n), 9n, "another one may come");
    one.passed(WINDOW + 60_000);
    assert.equal(one.floor(15n), 9n, "the second is not stored");
    assert.equal(one.floor(30n), 30n);
  });

  it("need no memory for windows that have ended", () => {
    const one = rate();
    for (let i = 0; i < 20_000; i++) one.judge({ lsn: BigInt(i + 1), time: i * 10_000 }, `user${i % 7}`, 1);
    assert.equal(one.floor(0n), 0n, "nothing is stored: all is needed");
    assert.ok(one.size < 1_100, `it holds ${one.size}`);
    for (let i = 0; i < 20_000; i++) one.judge({ lsn: 30_000n, time: 1e9 }, `other${i}`, 1);
    assert.ok(one.size < 11_100, `it holds ${one.size}`);
    assert.equal(one.floor(29_999n), 29_999n);
  });
});
