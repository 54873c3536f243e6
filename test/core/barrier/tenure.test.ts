import assert from "node:assert/strict";
import {
  graphReached,
  leaseReadBack,
  leaseToSend,
  NO_TENURE,
  newTenure,
  type Tenure,
  type TenureState,
  tenureState,
} from "../../../core/barrier/tenure.ts";

const TIME = { lease: 10, lapse: 30 };

/** Sent at `sent`, read back as `sequence` behind the mark `mark`. */
function readBack(tenure: Tenure, sent: number, sequence: number, mark: number): Tenure {
  const [lease, sending] = leaseToSend(tenure, "a", true, sent);
  return leaseReadBack(sending, lease, sequence, mark);
}

const joining = readBack(NO_TENURE, 0, 5, 4);
const serving = graphReached(joining, 4, TIME);
const STATES: Record<TenureState, Tenure> = { outside: NO_TENURE, joining, serving };

type Event = "a lease is sent" | "it is read back" | "the graph reaches the mark" | "the lease runs out";
const EVENTS: Record<Event, (tenure: Tenure) => [Tenure, now: number]> = {
  "a lease is sent": (tenure) => [leaseToSend(tenure, "a", true, 1)[1], 1],
  "it is read back": (tenure) => [readBack(tenure, 1, 6, 4), 1],
  "the graph reaches the mark": (tenure) => [graphReached(tenure, 4, TIME), 1],
  "the lease runs out": (tenure) => [tenure, 10],
};

const EXPECTED: Record<TenureState, Record<Event, TenureState>> = {
  outside: {
    "a lease is sent": "outside",
    "it is read back": "joining",
    "the graph reaches the mark": "outside",
    "the lease runs out": "outside",
  },
  joining: {
    "a lease is sent": "joining",
    "it is read back": "joining",
    "the graph reaches the mark": "serving",
    "the lease runs out": "joining",
  },
  serving: {
    "a lease is sent": "serving",
    "it is read back": "serving",
    "the graph reaches the mark": "serving",
    "the lease runs out": "outside",
  },
};

describe("a replica's tenure", () => {
  for (const state of Object.keys(EXPECTED) as TenureState[]) {
    for (const event of Object.keys(EVENTS) as Event[]) {
      it(`${state}: when ${event} it is ${EXPECTED[state][event]}`, () => {
        const [after, now] = EVENTS[event](STATES[state]);
        assert.equal(tenureState(after, now), EXPECTED[state][event]);
      });
    }
  }

  it("counts from when the lease was sent, however late it is read back", () => {
    const late = graphReached(readBack(NO_TENURE, 0, 5, 0), 0, TIME);
    assert.equal(late.until, 10);
    assert.equal(tenureState(late, 10), "outside");
  });

  it("is not prolonged by a renewal behind a mark that the graph has not reached", () => {
    const renewed = graphReached(readBack(serving, 5, 9, 8), 4, TIME);
    assert.equal(renewed.until, 10);
    assert.equal(graphReached(renewed, 8, TIME).until, 15);
  });

  it("keeps its place in the order while it is unbroken, and begins again behind the others", () => {
    assert.equal(leaseToSend(serving, "a", true, 9)[0].since, 5);
    assert.equal(leaseToSend(serving, "a", true, 10)[0].since, null);
  });

  it("does not regain its place or its right by a lease that was sent before it broke and is read back late", () => {
    const [late, sending] = leaseToSend(serving, "a", true, 9);
    const [next, begunAnew] = leaseToSend(sending, "a", true, 12);
    const woken = leaseReadBack(begunAnew, late, 6, 4);
    const again = graphReached(leaseReadBack(woken, next, 8, 4), 4, TIME);
    assert.equal(again.until, 22);
    assert.equal(leaseToSend(again, "a", true, 13)[0].since, 8);
  });

  it("is not held by an earlier lease after it was given up", () => {
    const [late, held] = leaseToSend(serving, "a", true, 3);
    const then = (tenure: Tenure) => tenureState(graphReached(leaseReadBack(tenure, late, 6, 4), 4, TIME), 11);
    assert.equal(then(held), "serving");
    assert.equal(then(newTenure(4)), "outside");
  });
});
