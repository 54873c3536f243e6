import assert from "node:assert/strict";
import { explore, type Scenario, type Without } from "./model.ts";

/** Two servers with a login each; both replicas serve, the first may renew and so lead on. */
const TWO_LOGINS: Scenario = { serving: ["a", "b"], leases: { a: 1, b: 0 }, logins: 2 };
/** One login, and each replica may lapse and come back. */
const COMING_BACK: Scenario = { serving: ["a", "b"], leases: { a: 1, b: 1 }, logins: 1 };
/** The second replica comes in the middle of it. */
const JOINING: Scenario = { serving: ["a"], leases: { a: 1, b: 1 }, logins: 1 };

describe("in the model of the barrier", function () {
  this.timeout(120_000);

  for (const [name, scenario] of Object.entries({ TWO_LOGINS, COMING_BACK, JOINING })) {
    it(`no schedule releases a record while an old session lives (${name})`, () => {
      const { released, states, violation } = explore(scenario);
      assert.equal(violation, null, violation?.join(" → "));
      assert.ok(released > 100 && states > 10_000, `it is worth something: ${states} states, released in ${released}`);
    });
  }

  const controls: [string, Scenario, Without][] = [
    ["the settle phase", TWO_LOGINS, { settlePhase: true }],
    ["the second kick", TWO_LOGINS, { secondKick: true }],
    ["reading one's own lease back", COMING_BACK, { readBack: true }],
    ["waiting out the answers of a lapsed replica", TWO_LOGINS, { lapse: true }],
  ];
  for (const [what, scenario, without] of controls) {
    it(`without ${what} some schedule does`, () => {
      assert.notEqual(explore(scenario, without, true).violation, null);
    });
  }
});
