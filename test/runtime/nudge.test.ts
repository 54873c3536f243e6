import assert from "node:assert/strict";
import { deferred } from "../../runtime/deferred.ts";
import { createNudge } from "../../runtime/nudge.ts";

describe("a nudge", () => {
  it("lets the first round look without being asked", async () => {
    assert.equal(await createNudge().next(), true);
  });

  it("makes one round of many nudges", async () => {
    const nudge = createNudge();
    await nudge.next();
    for (let i = 0; i < 5; i++) nudge.nudge();
    await nudge.next();
    let again = false;
    const controller = new AbortController();
    const waiting = nudge.next(controller.signal).then((nudged) => {
      again = nudged;
    });
    controller.abort();
    await waiting;
    assert.equal(again, false);
  });

  it("wakes a waiting listener", async () => {
    const nudge = createNudge();
    await nudge.next();
    const waiting = nudge.next();
    nudge.nudge();
    assert.equal(await waiting, true);
  });

  it("loses no nudge that comes while the listener works", async () => {
    const nudge = createNudge();
    await nudge.next();
    const waiting = nudge.next();
    nudge.nudge();
    nudge.nudge();
    await waiting;
    nudge.nudge();
    assert.equal(await nudge.next(), true);
  });

  it("has one listener", async () => {
    const nudge = createNudge();
    await nudge.next();
    const waiting = nudge.next();
    await assert.rejects(nudge.next(), /one listener/);
    nudge.nudge();
    await waiting;
  });

  it("says no to a listener whose signal is aborted already", async () => {
    assert.equal(await createNudge().next(AbortSignal.abort()), false);
  });
});

describe("a deferred promise", () => {
  it("is settled once, from outside", async () => {
    const wanted = deferred<number>();
    assert.equal(wanted.settled, false);
    wanted.resolve(1);
    wanted.reject(new Error("too late"));
    assert.equal(wanted.settled, true);
    assert.equal(await wanted.promise, 1);
  });
});
