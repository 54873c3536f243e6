import { strict as assert } from "node:assert";
import fc from "fast-check";
import { advanceTail, startTail, type TailAction, type TailInput, type TailState } from "../../client/tail-state.ts";
import { CLOSE_CODES } from "../../core/close-codes.ts";

/** Feeds inputs one after another; returns the last state and all actions. */
function run(state: TailState, ...inputs: TailInput[]): { state: TailState; actions: TailAction[] } {
  const actions: TailAction[] = [];
  for (const input of inputs) {
    const step = advanceTail(state, input);
    state = step.state;
    actions.push(...step.actions);
  }
  return { state, actions };
}
const dos = (actions: TailAction[]) => actions.map((action) => action.do);
const bytes = (length: number, first = 0) => Uint8Array.from({ length }, (_, i) => (first + i) % 256);
const chunk = (attempt: number, offset: number, length: number): TailInput => ({
  type: "chunk",
  attempt,
  offset,
  bytes: bytes(length, offset),
});
const UP: TailInput = { type: "up" };
const opened = (attempt: number, id = `t${attempt}`): TailInput => ({ type: "opened", attempt, id });

describe("a tail's state", () => {
  it("opens where it was told to, delivers, and asks for more when half the window is used up", () => {
    const { state, actions } = run(startTail("start", 4), UP, opened(1), chunk(1, 0, 10), chunk(1, 10, 5));
    assert.deepEqual(dos(actions), ["open", "deliver", "deliver"]);
    assert.deepEqual(actions[0], { do: "open", attempt: 1, from: 0, window: 4, afterMs: 0 });
    assert.equal(state.next, 15);
    const taken = run(state, { type: "delivered", attempt: 1 }, { type: "delivered", attempt: 1 });
    assert.deepEqual(taken.actions, [{ do: "more", attempt: 1, id: "t1", n: 2 }]);
    assert.equal(taken.state.used, 0);
  });

  it("gives no credit for what the application has not taken", () => {
    const { actions } = run(startTail("start", 4), UP, opened(1), ...[0, 1, 2, 3].map((at) => chunk(1, at, 1)));
    assert.deepEqual(dos(actions), ["open", "deliver", "deliver", "deliver", "deliver"]);
  });

  it("gives credit once it knows the tail's id, when chunks overtake the answer", () => {
    const { actions } = run(
      startTail("start", 2),
      UP,
      chunk(1, 0, 1),
      { type: "delivered", attempt: 1 },
      { type: "delivered", attempt: 1 },
      opened(1),
    );
    assert.deepEqual(actions.at(-1), { do: "more", attempt: 1, id: "t1", n: 2 });
  });

  it("cuts overlaps off and counts whole repeats as used", () => {
    const { actions } = run(startTail("start", 2), UP, opened(1), chunk(1, 0, 10), chunk(1, 0, 10), chunk(1, 6, 10));
    assert.deepEqual(dos(actions), ["open", "deliver", "more", "deliver"]);
    const last = actions.at(-1);
    assert.ok(last?.do === "deliver");
    assert.equal(last.offset, 10);
    assert.deepEqual([...last.bytes], [10, 11, 12, 13, 14, 15]);
  });

  it("announces a hole and goes on behind it", () => {
    const { state, actions } = run(startTail(5), UP, opened(1), chunk(1, 20, 4));
    assert.deepEqual(dos(actions), ["open", "gap", "deliver"]);
    assert.deepEqual(actions[1], { do: "gap", from: 5, to: 20 });
    assert.equal(state.next, 24);
  });

  it("takes a `last` tail's beginning from its first chunk", () => {
    const { state, actions } = run(startTail({ last: 3 }), UP, opened(1), chunk(1, 700, 5));
    assert.deepEqual(dos(actions), ["open", "deliver"]);
    assert.equal(state.next, 705);
    assert.equal(startTail({ last: 3 }).next, null);
  });

  it("goes on at the next byte wanted after a cut, and leaves the former tail", () => {
    const { actions } = run(startTail("start"), UP, opened(1), chunk(1, 0, 10), { type: "down" }, UP);
    assert.deepEqual(actions.slice(-2), [
      { do: "leave", id: "t1" },
      { do: "open", attempt: 2, from: 10, window: 64, afterMs: 0 },
    ]);
  });

  it("takes nothing from a former attempt", () => {
    const { state } = run(startTail("start"), UP, opened(1), { type: "down" }, UP);
    for (const input of [
      chunk(1, 0, 10),
      { type: "notice", attempt: 1, name: "readRevoked" },
      { type: "fault", attempt: 1, code: 403, fault: "", reason: "" },
      { type: "delivered", attempt: 1 },
      { type: "unanswered", attempt: 1 },
      { type: "tick", attempt: 1 },
      { type: "unknown", attempt: 1 },
    ] satisfies TailInput[]) {
      const step = advanceTail(state, input);
      assert.equal(step.state, state);
      assert.deepEqual(step.actions, []);
    }
  });

  it("ends with the typed notice when the right is gone", () => {
    const { state, actions } = run(startTail("start"), UP, opened(1), {
      type: "notice",
      attempt: 1,
      name: "readRevoked",
    });
    assert.equal(state.phase, "ended");
    assert.deepEqual(actions.at(-1), { do: "end", end: { notice: "readRevoked", ...CLOSE_CODES.readRevoked } });
  });

  it("ends when the gateway refuses", () => {
    const refused = run(startTail("start"), UP, {
      type: "fault",
      attempt: 1,
      code: 403,
      fault: "read.forbidden",
      reason: "no",
    });
    assert.deepEqual(refused.actions.at(-1), {
      do: "end",
      end: { notice: "refused", code: 403, reason: "no", reconnect: false },
    });
  });

  it("takes a refusal after it had begun for the end of the right, and knows an ended token", () => {
    const cut: TailInput[] = [UP, opened(1), chunk(1, 0, 4), { type: "down" }, UP];
    const refused = (fault: string): TailInput => ({ type: "fault", attempt: 2, code: 403, fault, reason: "no" });
    for (const [fault, notice] of [
      ["read.forbidden", "readRevoked"],
      ["token.expired", "tokenEnded"],
      ["verb.body", "refused"],
    ] as const) {
      const last = run(startTail("start"), ...cut, refused(fault)).actions.at(-1);
      assert.ok(last?.do === "end");
      assert.equal(last.end.notice, notice);
    }
    assert.equal(run(startTail("start"), ...cut, refused("graph.stale")).state.phase, "opening");
  });

  it("says now and then that it is there, and opens anew when the gateway has forgotten it", () => {
    const tick: TailInput = { type: "tick", attempt: 1 };
    const { state, actions } = run(startTail("start", 8), UP, tick, opened(1), chunk(1, 0, 4), tick);
    assert.deepEqual(actions.at(-1), { do: "more", attempt: 1, id: "t1", n: 0 });
    const again = run(state, { type: "delivered", attempt: 1 }, tick, { type: "unknown", attempt: 1 });
    assert.deepEqual(again.actions, [
      { do: "more", attempt: 1, id: "t1", n: 1 },
      { do: "open", attempt: 2, from: 4, window: 8, afterMs: 100 },
    ]);
  });

  it("appends a chunk whose writer did not say where it belongs", () => {
    const unplaced: TailInput = { type: "chunk", attempt: 1, offset: null, bytes: bytes(3) };
    const { state, actions } = run(startTail("start"), UP, opened(1), chunk(1, 0, 4), unplaced);
    const last = actions.at(-1);
    assert.ok(last?.do === "deliver");
    assert.equal(last.offset, 4);
    assert.equal(state.next, 7);
  });

  it("tries again, ever later, when the gateway is away or says to come back", () => {
    let { state } = run(startTail("start"), UP);
    const waits: number[] = [];
    for (const input of [
      (attempt: number): TailInput => ({ type: "fault", attempt, code: 503, fault: "", reason: "no gateway listens" }),
      (attempt: number): TailInput => ({ type: "unanswered", attempt }),
      (attempt: number): TailInput => ({ type: "notice", attempt, name: "draining" }),
      ...Array.from(
        { length: 8 },
        () =>
          (attempt: number): TailInput => ({ type: "unanswered", attempt }),
      ),
    ]) {
      const step = advanceTail(state, input(state.attempt));
      state = step.state;
      for (const action of step.actions) if (action.do === "open") waits.push(action.afterMs);
    }
    assert.deepEqual(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000, 5_000, 5_000]);
    ({ state } = run(state, opened(state.attempt), chunk(state.attempt, 0, 1)));
    assert.equal(state.failures, 0, "bytes make it young again");
  });

  it("stops when told to, says so to the gateway, and does nothing afterwards", () => {
    const { state, actions } = run(startTail("start"), UP, opened(1), { type: "stop" });
    assert.deepEqual(dos(actions), ["open", "leave", "end"]);
    const step = run(state, UP, chunk(1, 0, 1), { type: "stop" });
    assert.equal(step.state, state);
    assert.deepEqual(step.actions, []);
  });

  it("delivers each byte once and in order, whatever is cut, repeated and overlapping", () => {
    const cut = fc.record({ back: fc.nat(40), length: fc.integer({ min: 1, max: 30 }), cut: fc.boolean() });
    fc.assert(
      fc.property(fc.array(cut, { maxLength: 60 }), (steps) => {
        let { state } = run(startTail("start", 8), UP);
        const got: number[] = [];
        let end = 0;
        for (const step of steps) {
          // Never ahead of what was sent: the gateway's chunks overlap or adjoin.
          const offset = Math.max(0, end - step.back);
          const result = run(
            state,
            chunk(state.attempt, offset, step.length),
            ...(step.cut ? ([{ type: "down" }, UP] as TailInput[]) : []),
          );
          end = Math.max(end, offset + step.length);
          state = result.state;
          for (const action of result.actions) {
            assert.notEqual(action.do, "gap");
            if (action.do !== "deliver") continue;
            assert.equal(action.offset, got.length);
            got.push(...action.bytes);
          }
        }
        assert.equal(got.length, end);
        assert.ok(got.every((byte, i) => byte === i % 256));
      }),
    );
  });
});
