import assert from "node:assert/strict";
import { allRows } from "../../../authcallout/sessions/system-account.ts";

describe("a listing in pages", () => {
  const rows = (...cids: number[]) => cids.map((cid) => ({ cid }));
  const cids = (found: { cid: number }[]) => found.map(({ cid }) => cid);

  it("is whole although connections leave between two pages", async () => {
    let all = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    let asked = 0;
    const page = async (offset: number) => {
      if (++asked === 2) all = all.filter((cid) => cid !== 1 && cid !== 2 && cid !== 3);
      return rows(...all.slice(offset, offset + 4));
    };
    const found = cids(await allRows(page, 4, 1));
    for (const cid of [4, 5, 6, 7, 8, 9]) assert.ok(found.includes(cid), `${cid} is there`);
  });
  it("would miss some without looking back", async () => {
    let all = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    const first = all.slice(0, 4);
    all = all.slice(3);
    assert.ok(![...first, ...all.slice(4)].includes(5));
  });
  it("of nothing is nothing", async () => {
    assert.deepEqual(await allRows(async () => rows(), 4, 1), []);
  });
});
