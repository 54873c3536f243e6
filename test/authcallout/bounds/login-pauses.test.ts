/** Who has to wait before coming in again, and for how long. */
import assert from "node:assert/strict";
import {
  FIRST_PAUSE_MS,
  LONGEST_FLOOD_PAUSE_MS,
  LONGEST_PAUSE_MS,
  LoginPauses,
  shareOf,
} from "../../../authcallout/bounds/login-pauses.ts";

const LIMITS = { cutsPerMinute: 60, loginsPerMinute: 100 };

function world() {
  const begun: string[] = [];
  const pauses = new LoginPauses(LIMITS, (owner, cause, ms) => void begun.push(`${owner} ${cause} ${ms}`));
  return { pauses, begun };
}

describe("a pause of somebody's logins", () => {
  it("comes where more of his sessions are cut in a minute than may be, and only to him", () => {
    const { pauses, begun } = world();
    for (let i = 0; i < 60; i++) pauses.cut("eve", 0);
    assert.equal(pauses.leftOf("eve", 0, 0), 0);
    pauses.cut("eve", 0);
    assert.equal(pauses.leftOf("eve", 0, 0), FIRST_PAUSE_MS);
    assert.equal(pauses.leftOf("bob", 0, 0), 0);
    assert.equal(pauses.leftOf("eve", 0, FIRST_PAUSE_MS), 0);
    assert.deepEqual(begun, [`eve cuts ${FIRST_PAUSE_MS}`]);
  });

  it("lets those who wait come back one after another", () => {
    const { pauses } = world();
    for (let i = 0; i < 61; i++) pauses.cut("eve", 0);
    const ends = Array.from({ length: 200 }, (_, i) => pauses.leftOf("eve", shareOf(`token.session${i}`), 0));
    assert.ok(Math.min(...ends) >= FIRST_PAUSE_MS && Math.max(...ends) <= 1.5 * FIRST_PAUSE_MS);
    assert.ok(new Set(ends).size > 100);
  });

  it("is one for one wave, however many are cut in it", () => {
    const { pauses, begun } = world();
    for (let i = 0; i < 400; i++) pauses.cut("eve", i);
    assert.equal(begun.length, 1);
  });

  it("grows while it goes on, to some seconds and no longer: somebody else may be to blame", () => {
    const { pauses, begun } = world();
    for (let at = 0; at < 120_000; at += 100) {
      // Whoever is not kept out comes in with 200 sessions and loses them.
      if (pauses.leftOf("eve", 0.99, at) === 0) for (let i = 0; i < 200; i++) pauses.cut("eve", at);
    }
    const lengths = begun.map((line) => Number(line.split(" ")[2]));
    assert.deepEqual(lengths.slice(0, 5), [1_000, 2_000, 4_000, 8_000, 8_000]);
    assert.equal(Math.max(...lengths), LONGEST_PAUSE_MS);
    assert.ok(lengths.length <= 14, `${lengths.length} waves in two minutes, where there were 1,200`);
  });

  it("does not come to a victim of few sessions who is cut once a second", () => {
    const { pauses } = world();
    for (let at = 0; at < 120_000; at += 1_000) {
      pauses.cut("bob", at);
      assert.equal(pauses.leftOf("bob", 0.99, at), 0);
    }
  });

  it("is short again after a calm minute", () => {
    const { pauses, begun } = world();
    for (const at of [0, 2_000, 5_500]) for (let i = 0; i < 61; i++) pauses.cut("eve", at);
    for (let i = 0; i < 61; i++) pauses.cut("eve", 80_000);
    assert.deepEqual(
      begun.map((line) => Number(line.split(" ")[2])),
      [1_000, 2_000, 4_000, 1_000],
    );
  });

  it("comes at once for a flood, and grows longer, and for signing in without end", () => {
    const { pauses, begun } = world();
    for (let at = 0; at < 600_000; at += 100) if (pauses.leftOf("eve", 0, at) === 0) pauses.flooded("eve", at);
    const lengths = begun.map((line) => Number(line.split(" ")[2]));
    assert.deepEqual([lengths[0], Math.max(...lengths)], [FIRST_PAUSE_MS, LONGEST_FLOOD_PAUSE_MS]);
    for (let i = 0; i <= LIMITS.loginsPerMinute; i++) pauses.admitted("mallory", 0);
    assert.equal(pauses.leftOf("mallory", 0, 0), FIRST_PAUSE_MS);
    assert.equal(pauses.size(0), 2);
  });
});
