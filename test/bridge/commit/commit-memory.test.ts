import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { CommitAssembler, closeCommit } from "../../../bridge/commit/commit.ts";
import { GraphEffect, GraphRowSet } from "../../../bridge/rows/graph-row-set.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** What the process holds: V8's heap and buffers. */
function held(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers, external } = process.memoryUsage();
  return heapUsed + Math.max(arrayBuffers, external);
}

describe("a commit of four hundred thousand rows", function () {
  this.timeout(60_000);

  it("needs no more memory than a commit of fifty thousand", () => {
    const peakOf = (count: number): number => {
      const assembler = new CommitAssembler();
      const relation = { schema: "public", name: "collections" };
      const start = held();
      let peak = 0;
      assembler.add({ tag: "begin", lsn: 0n, xid: 1 });
      for (let n = 0; n < count; n++) {
        const uuid = `zzzzz-4zz18-${String(n).padStart(15, "0")}`;
        const row = { id: String(n), uuid, owner_uuid: "zzzzz-j7d0g-000000000000000", trash_at: null };
        assembler.add({ tag: "update", relation, old: null, new: row });
        if (n % 50_000 === 49_999) peak = Math.max(peak, held() - start);
      }
      const commit = assembler.add({ tag: "commit", endLsn: 1n, time: 0 });
      assert.ok(commit);
      const state = new GraphRowSet("zzzzz");
      const effect = new GraphEffect();
      let seen = 0;
      for (const change of commit.rows) {
        state.applyOne(change, effect);
        if (++seen % 50_000 === 49_999) peak = Math.max(peak, held() - start);
      }
      assert.equal(seen, count);
      closeCommit(commit);
      return peak;
    };
    peakOf(50_000);
    const small = peakOf(50_000);
    const large = peakOf(400_000);
    assert.ok(large < Math.max(2 * small, 64e6), `${large} bytes instead of ${small}`);
  });
});
