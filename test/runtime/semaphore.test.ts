import assert from "node:assert/strict";
import { until } from "../../dev/testing/until.ts";
import { Semaphore } from "../../runtime/semaphore.ts";

describe("a semaphore", () => {
  it("come in order, never more than so many at a time, and to one key never more than its share", async () => {
    const turns = new Semaphore(3, 2);
    const begun: string[] = [];
    const ends: (() => void)[] = [];
    const take = async (key: string) => {
      const done = await turns.acquire(key);
      begun.push(key);
      ends.push(done);
    };
    for (const key of ["a", "a", "a", "b", "b", "c"]) void take(key);
    await until(() => begun.length === 3, "three");
    assert.deepEqual(begun, ["a", "a", "b"], "the third of a waits, and holds nobody up");
    ends[2]?.();
    await until(() => begun.length === 4, "a fourth");
    assert.deepEqual(begun.slice(3), ["b"]);
    ends[0]?.();
    await until(() => begun.length === 5, "a fifth");
    assert.deepEqual(begun.slice(4), ["a"]);
    ends[1]?.();
    await until(() => begun.length === 6, "the last");
  });
});
