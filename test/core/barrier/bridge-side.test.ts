import assert from "node:assert/strict";
import { Barrier } from "../../../core/barrier/bridge-side.ts";

const r = (sequence: number, epoch = 1) => ({ epoch, sequence });

describe("the barrier", () => {
  it("is open while there is no removal", () => {
    const barrier = new Barrier();
    assert.equal(barrier.open, null);
    assert.ok(barrier.released(barrier.marked));
  });

  it("holds records behind a removal until it is enforced", () => {
    const barrier = new Barrier();
    barrier.mark(r(5));
    assert.ok(!barrier.released(r(5)));
    assert.deepEqual(barrier.open, r(5));
    barrier.cut(r(4));
    assert.ok(!barrier.released(r(5)), "an older cut says nothing about it");
    barrier.cut(r(5));
    assert.ok(barrier.released(r(5)));
    assert.equal(barrier.open, null);
  });

  it("releases records up to the lowest removal still open", () => {
    const barrier = new Barrier();
    barrier.mark(r(5));
    barrier.mark(r(9));
    barrier.cut(r(5));
    assert.ok(barrier.released(r(5)));
    assert.ok(!barrier.released(r(9)));
  });

  it("never goes back: a repeated or older cut changes nothing", () => {
    const barrier = new Barrier();
    assert.ok(barrier.cut(r(5)));
    assert.ok(!barrier.cut(r(5)));
    assert.ok(!barrier.cut(r(3)));
    assert.ok(barrier.released(r(5)));
  });

  it("counts a later epoch as later, whatever the sequence", () => {
    const barrier = new Barrier();
    barrier.cut(r(900));
    barrier.mark(r(3, 2));
    assert.ok(!barrier.released(r(3, 2)));
    barrier.cut(r(3, 2));
    assert.ok(barrier.released(r(3, 2)));
  });
});
