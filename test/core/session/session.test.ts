import assert from "node:assert/strict";
import {
  formatSessionName,
  parseSessionId,
  parseSessionName,
  type SessionName,
} from "../../../core/session/session.ts";

const name: SessionName = {
  user: "alice",
  key: { sessionToken: "token", sid: "_" },
  revision: { epoch: 1, sequence: 5 },
  hash: "h",
};

describe("a session's name", () => {
  it("survives the way through nats-server", () => {
    assert.deepEqual(parseSessionName(formatSessionName(name)), name);
    const proven = { ...name, proof: "0123456789abcdef01234567" };
    assert.deepEqual(parseSessionName(formatSessionName(proven)), proven);
  });

  it("is nobody else's", () => {
    for (const text of ["", "alice", "a|b|c|1.2", "a|b|c|x|h", "a|b|c|1.2|h|more"]) {
      assert.equal(parseSessionName(text), null, text);
    }
  });

  it("takes only ids that cannot be guessed or break a subject", () => {
    assert.equal(parseSessionId(undefined), "_");
    assert.equal(parseSessionId("abcdefghijklmnop"), "abcdefghijklmnop");
    for (const bad of ["short", "a".repeat(33), "abcdefghijklmno.", "abcdefghijklmno*", "abcdefghijklmno>"]) {
      assert.equal(parseSessionId(bad), null, bad);
    }
  });
});
