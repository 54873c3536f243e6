import assert from "node:assert/strict";
import type { BarrierEntry } from "../../../core/barrier/entry.ts";
import {
  anotherIsFit,
  cuttable,
  EMPTY_ROSTER,
  leader,
  living,
  readEntry,
  unsettled,
} from "../../../core/barrier/roster.ts";

const TIME = { lease: 10, lapse: 30 };
const lease = (replica: string, more: object = {}): BarrierEntry => ({
  kind: "lease",
  replica,
  since: null,
  sent: 0,
  fit: true,
  left: false,
  ...more,
});
const mark = (sequence: number): BarrierEntry => ({ kind: "mark", revision: { epoch: 1, sequence } });
const settled = (replica: string, at: number): BarrierEntry => ({ kind: "settled", replica, mark: at });
const cut = (at: number): BarrierEntry => ({ kind: "cut", mark: at });

/** Reads entries as sequences 1, 2, …, all at `now`. */
function reading(entries: BarrierEntry[], now = 0) {
  return entries.reduce((roster, entry, i) => readEntry(roster, entry, i + 1, now, TIME), EMPTY_ROSTER);
}

describe("the roster of replicas", () => {
  it("lets a mark be cut once all that may have answers under way have settled it", () => {
    const before = [lease("a"), lease("b"), mark(7), settled("a", 3)];
    assert.equal(cuttable(reading(before), 0, TIME), null);
    assert.deepEqual(unsettled(reading(before), 0, TIME), ["b"]);
    assert.equal(cuttable(reading([...before, settled("b", 3)]), 0, TIME), 3);
  });

  it("waits for a silent replica until none of its answers can become a session", () => {
    const roster = reading([lease("a"), lease("b"), mark(7), settled("a", 3)]);
    const renewed = readEntry(roster, lease("a", { since: 1 }), 5, 25, TIME);
    assert.deepEqual(living(renewed, 29, TIME), ["a"]);
    assert.deepEqual(unsettled(renewed, 29, TIME), ["b"]);
    assert.equal(cuttable(renewed, 29, TIME), null);
    assert.equal(cuttable(renewed, 30, TIME), 3);
  });

  it("does not wait for a replica that has left", () => {
    const roster = reading([lease("a"), lease("b"), mark(7), settled("a", 3), lease("b", { left: true })]);
    assert.equal(cuttable(roster, 0, TIME), 3);
  });

  it("also waits for a replica that joined behind the mark, which settles at once", () => {
    const roster = reading([lease("a"), mark(7), settled("a", 2), lease("b")]);
    assert.deepEqual(unsettled(roster, 0, TIME), ["b"]);
  });

  it("cuts up to the lowest mark that all have settled, and nothing twice", () => {
    const entries = [lease("a"), lease("b"), mark(7), mark(8), settled("a", 4), settled("b", 3)];
    assert.equal(cuttable(reading(entries), 0, TIME), 3);
    assert.equal(cuttable(reading([...entries, cut(3)]), 0, TIME), null);
    assert.equal(cuttable(reading([...entries, cut(3), settled("b", 4)]), 0, TIME), 4);
  });

  it("knows what was settled even if the lease is read later, as in a stream's last messages", () => {
    assert.equal(cuttable(reading([mark(7), settled("a", 1), lease("a", { since: 1 })]), 0, TIME), 1);
  });

  it("never cuts if there is no replica", () => {
    assert.equal(cuttable(reading([mark(7)]), 0, TIME), null);
    assert.equal(leader(EMPTY_ROSTER, 0, TIME), null);
  });

  it("is led by the replica with the longest tenure, by the stream's order", () => {
    const roster = reading([lease("b"), lease("a")]);
    assert.equal(leader(roster, 0, TIME), "b");
    const renewed = readEntry(roster, lease("a", { since: 2 }), 3, 9, TIME);
    assert.equal(leader(renewed, 10, TIME), "a", "b's lease is over");
    const back = readEntry(renewed, lease("b"), 4, 11, TIME);
    assert.equal(leader(back, 11, TIME), "a", "who comes back stands behind");
  });

  it("is led by a replica with a fresh graph if there is one", () => {
    assert.equal(leader(reading([lease("a", { fit: false }), lease("b")]), 0, TIME), "b");
    assert.equal(leader(reading([lease("a", { fit: false }), lease("b", { fit: false })]), 0, TIME), "a");
    assert.ok(anotherIsFit(reading([lease("a", { fit: false }), lease("b")]), "a", 0, TIME));
    assert.ok(!anotherIsFit(reading([lease("a"), lease("b", { fit: false })]), "a", 0, TIME));
  });
});
