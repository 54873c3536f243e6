import assert from "node:assert/strict";
import { shouldAcceptLogins } from "../../../authcallout/login/queue-group.ts";

describe("a replica accepts logins", () => {
  const cases: [serving: boolean, fit: boolean, anotherIsFit: boolean, expected: boolean][] = [
    [true, true, true, true],
    [true, true, false, true],
    [true, false, true, false],
    [true, false, false, true],
    [false, true, true, false],
    [false, true, false, false],
    [false, false, true, false],
    [false, false, false, false],
  ];
  for (const [serving, fit, anotherIsFit, expected] of cases) {
    it(`${expected ? "" : "not "}when serving=${serving}, fit=${fit}, another is fit=${anotherIsFit}`, () => {
      assert.equal(shouldAcceptLogins({ serving, fit, anotherIsFit }), expected);
    });
  }
});
