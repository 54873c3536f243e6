import assert from "node:assert/strict";
import { CatalogCheck } from "../../../bridge/commit/catalog-check.ts";
import { until } from "../../../dev/testing/until.ts";
import { deferred } from "../../../runtime/deferred.ts";

describe("a commit that waits for a check of the catalogs", () => {
  it("passes after a check that began when the commit had come, and after no earlier one", async () => {
    const looks: ReturnType<typeof deferred<void>>[] = [];
    const take = () => {
      const look = deferred<void>();
      looks.push(look);
      return look.promise;
    };
    let released = 0;
    const looked = new CatalogCheck(
      take,
      () => released++,
      (error) => assert.fail(String(error)),
    );
    assert.equal(looked.passed(10n), false);
    assert.equal(looked.passed(20n), false, "came while a look was under way");
    looks[0]?.resolve();
    await until(() => released === 1, "the first look's word");
    assert.equal(looked.passed(10n), true);
    assert.equal(looked.passed(20n), false);
    await until(() => looks.length === 2, "another look, by itself");
    looks[1]?.resolve();
    await until(() => released === 2, "the second look's word");
    assert.equal(looked.passed(20n), true);
    assert.equal(looks.length, 2, "where nothing waits nobody looks");
  });

  it("does not pass where the check finds a change, which ends the term", async () => {
    const faults: unknown[] = [];
    const changed = new Error("changed");
    const looked = new CatalogCheck(
      () => Promise.reject(changed),
      () => assert.fail("nothing may pass"),
      (error) => void faults.push(error),
    );
    assert.equal(looked.passed(1n), false);
    await until(() => faults.length === 1, "the fault");
    assert.equal(faults[0], changed);
    assert.equal(looked.passed(1n), false);
  });
});
