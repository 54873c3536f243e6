/** Sessions whose tokens end soon: each comes up once, in time, whenever its end was set. */
import assert from "node:assert/strict";
import { Endings } from "../../../authcallout/sessions/endings.ts";

const NOW = 1_700_000_000_000;
const name = (token: string) => ({
  user: "alice",
  key: { sessionToken: token, sid: "_" },
  revision: { epoch: 1, sequence: 1 },
  hash: "h",
});

describe("sessions whose tokens end", () => {
  function world() {
    const endings = new Endings(NOW);
    const removeExpired = (now: number) =>
      endings.removeExpired(now).map((ending) => [ending.name.key.sessionToken, ending.at - NOW]);
    return { endings, removeExpired };
  }

  it("come up before nats-server ends them, which is more than a second before the tokens' end, and once", () => {
    const { endings, removeExpired } = world();
    for (const [token, ms] of [
      ["t1", 5_000],
      ["t2", 5_999],
      ["t3", 6_000],
    ] as const)
      endings.add({ name: name(token), at: NOW + ms });
    assert.deepEqual(removeExpired(NOW + 3_749), []);
    assert.deepEqual(removeExpired(NOW + 3_750), [
      ["t1", 5_000],
      ["t2", 5_999],
    ]);
    assert.deepEqual(removeExpired(NOW + 4_000), []);
    assert.deepEqual(removeExpired(NOW + 60_000), [["t3", 6_000]]);
  });

  it("come up at the next look where their end is set too late for that", () => {
    const { endings, removeExpired } = world();
    assert.deepEqual(removeExpired(NOW), []);
    endings.add({ name: name("t1"), at: NOW + 1_200 });
    assert.deepEqual(removeExpired(NOW + 749), []);
    assert.deepEqual(removeExpired(NOW + 750), [["t1", 1_200]]);
  });

  it("come up once though they were expected often, and at each end that was ever set", () => {
    const { endings, removeExpired } = world();
    for (const ms of [5_000, 5_000, 7_000]) endings.add({ name: name("t1"), at: NOW + ms });
    assert.deepEqual(removeExpired(NOW + 10_000), [
      ["t1", 5_000],
      ["t1", 7_000],
    ]);
  });
});
