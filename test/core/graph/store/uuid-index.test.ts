import assert from "node:assert/strict";
import fc from "fast-check";
import { UuidIndex } from "../../../../core/graph/store/uuid-index.ts";

/** Few enough to collide and come back, of the usual form and not. */
const usual = fc
  .tuple(fc.constantFrom("tpzed", "j7d0g", "4zz18"), fc.integer({ min: 0, max: 3000 }))
  .map(([infix, n]) => `zzzzz-${infix}-${n.toString(36).padStart(15, "0")}`);
const odd = fc.constantFrom(
  "",
  "zzzzz-tpzed-00000000000000A",
  "zzzzz-tpzed-00000000000000é",
  "zzzzz_tpzed-000000000000000",
);

describe("the index of uuids", () => {
  it("finds what a Map finds, through growth and deletion", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.oneof({ weight: 20, arbitrary: usual }, odd), fc.boolean()), {
          maxLength: 4000,
          size: "max",
        }),
        (steps) => {
          const index = new UuidIndex();
          const map = new Map<string, number>();
          for (const [i, [uuid, there]] of steps.entries()) {
            assert.equal(index.get(uuid), map.get(uuid) ?? -1);
            if (there && !map.has(uuid)) {
              map.set(uuid, i);
              index.add(uuid, i);
            } else if (!there) {
              map.delete(uuid);
              index.delete(uuid);
            }
          }
          assert.equal(index.size, map.size);
          for (const [uuid, value] of map) assert.equal(index.get(uuid), value);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("holds uuids apart that differ in any one character", () => {
    const uuid = "abcde-fghij-klmnopqrstuvwxy";
    const index = new UuidIndex();
    index.add(uuid, 7);
    for (let at = 0; at < uuid.length; at++) {
      const other = `${uuid.slice(0, at)}${uuid[at] === "z" ? "y" : "z"}${uuid.slice(at + 1)}`;
      assert.equal(index.get(other), -1, other);
    }
    assert.equal(index.get(uuid), 7);
  });
});
