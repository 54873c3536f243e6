import assert from "node:assert/strict";
import { GuessLimit } from "../../../authcallout/bounds/guess-limit.ts";
import { fault } from "../../../core/errors.ts";

describe("guessing", () => {
  const unknown = fault("token.unknown", { token: "x" });

  it("is refused per address after so many tries, for a while", () => {
    const limit = new GuessLimit(3);
    for (let i = 0; i < 3; i++) {
      assert.ok(!limit.isExhausted("10.0.0.1", 0));
      limit.refused("10.0.0.1", unknown, 0);
    }
    assert.ok(limit.isExhausted("10.0.0.1", 0));
    assert.ok(!limit.isExhausted("10.0.0.2", 0), "nobody else pays for it");
    assert.ok(!limit.isExhausted("10.0.0.1", 20_000));
  });
  it("is not what an expired token or a stale graph does", () => {
    const limit = new GuessLimit(1);
    limit.refused("10.0.0.1", fault("token.expired", { token: "x" }), 0);
    limit.refused("10.0.0.1", fault("graph.stale", {}), 0);
    assert.ok(!limit.isExhausted("10.0.0.1", 0));
  });
  it("from one network of IPv6 is one guesser's, whichever of its addresses", () => {
    const limit = new GuessLimit(1);
    limit.refused("2001:db8:0:1::1", unknown, 0);
    assert.ok(limit.isExhausted("2001:DB8::1:ffff:0:0:1", 0));
    assert.ok(!limit.isExhausted("2001:db8:0:2::1", 0));
  });
  it("from many addresses fills no memory", () => {
    const limit = new GuessLimit(1);
    for (let i = 0; i < 20_000; i++) limit.refused(`a${i}`, unknown, 0);
    assert.ok(!limit.isExhausted("a0", 0) && limit.isExhausted("a19999", 0));
  });
});
