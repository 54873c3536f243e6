/**
 * What holds for all tests; mocha loads it by `.mocharc.json`. A test that needs no server has 5 s, unless it or its suite says otherwise.
 * After the last test, and after each file where files run side by side, no process and no server may be left that keeps this process alive.
 */
import { until } from "../../dev/testing/until.ts";
import { laneOf } from "./lanes.ts";
import { leftovers } from "./leftovers.ts";

const UNIT_TIMEOUT_MS = 5_000;

export const mochaHooks: Mocha.RootHookObject = {
  beforeAll(this: Mocha.Context) {
    const root = this.test?.parent;
    root?.eachTest((test) => {
      const isDefault = test.timeout() === root.timeout();
      if (isDefault && test.file && laneOf(test.file) === "unit") test.timeout(UNIT_TIMEOUT_MS);
    });
  },
  async afterAll(this: Mocha.Context) {
    const files = (this.test?.parent?.suites ?? []).map(({ file }) => file);
    const where = files.length === 1 ? `in ${files[0]}` : "in one of the files";
    await until(
      () => leftovers().length === 0,
      () => `the end of what tests have started ${where}: ${leftovers().join()}`,
    );
  },
};
