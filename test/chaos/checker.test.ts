/** The checker finds each kind of fault: else its silence would mean nothing. */
import assert from "node:assert/strict";
import { asResumed, byEventId, checkStreams, type Lead, type Stored } from "./checker.ts";
import type { TrueCommit } from "./commit-log.ts";

const OWNER = "zzzzz-j7d0g-projectpppppppp";
const ELSEWHERE = "zzzzz-j7d0g-elsewhereeeeeee";
const places = new Map([
  [OWNER, "u.p"],
  [ELSEWHERE, "u.e"],
]);
const uuid = (name: string) => `zzzzz-4zz18-${name.padEnd(15, "0")}`;
const created = (name: string) => ({ id: 1, object: uuid(name), type: "create", owner: OWNER, oldOwner: null });
const commits: TrueCommit[] = [
  { lsn: "0/1", logs: [created("a"), created("b")] },
  { lsn: "0/2", logs: [{ id: 1, object: uuid("a"), type: "update", owner: ELSEWHERE, oldOwner: OWNER }] },
];

function stored(lsn: string, ordinal: number, name: string, type: string, place = "u.p"): Stored {
  return {
    sequence: 0,
    epoch: 1,
    subject: `x.rec.${place}.${uuid(name)}.collections`,
    lsn,
    eventId: `${lsn}:${ordinal}`,
    part: "",
    object: uuid(name),
    type,
  };
}
const right = [
  stored("0/1", 1, "a", "create"),
  stored("0/1", 3, "b", "create"),
  stored("0/2", 0, "a", "left"),
  stored("0/2", 1, "a", "update", "u.e"),
];
const kinds = (messages: (Stored | undefined)[]) =>
  new Set(
    checkStreams(
      commits,
      messages.filter((message) => message !== undefined),
      places,
      "x",
    ).map(({ what }) => what),
  );

describe("the checker of the chaos run", () => {
  it("is silent where RECORDS is what was committed", () => {
    assert.deepEqual(kinds(right), new Set());
  });

  for (const [what, messages] of Object.entries({
    missing: [right[0], right[2], right[3]],
    repeated: [right[0], right[1], right[1], right[2], right[3]],
    foreign: [...right, stored("0/9", 1, "a", "update")],
    "out of order": [right[2], right[3], right[0], right[1]],
    torn: [right[0], right[2], right[1], right[3]],
  })) {
    it(`finds what is ${what}`, () => {
      assert.ok(kinds(messages).has(what as "missing" | "torn"), [...kinds(messages)].join());
    });
  }

  it("finds a small commit in parts, but not one that continues in another epoch", () => {
    const [first, second, ...rest] = right as [Stored, Stored, Stored, Stored];
    const again = (epoch: number) => [first, { ...second, part: "last", epoch }, ...rest];
    assert.deepEqual(kinds(again(1)), new Set(["torn"]));
    assert.deepEqual(kinds(again(2)), new Set());
  });

  it("finds an event on the wrong path", () => {
    assert.ok(kinds([...right.slice(0, 3), stored("0/2", 1, "a", "update")]).has("foreign"));
  });

  it("is silent about a reader that goes by event id, however late and often events came", () => {
    const [first, second, third, fourth] = right as [Stored, Stored, Stored, Stored];
    assert.deepEqual(kinds(byEventId([first, third, fourth, second, third, fourth, first])), new Set());
    assert.deepEqual(kinds(byEventId([first, third, fourth, third])), new Set(["missing"]));
  });

  it("is silent about a reader that goes back to where an epoch resumes, and only to there", () => {
    const places = [1, 3, 4, 6, 7, 8];
    const seen = [right[0], right[2], right[3], right[1], right[2], right[3]] as Stored[];
    const stored = seen.map((message, index) => ({ ...message, sequence: places[index] as number }));
    const leads = (resume: number) => [{ epoch: 2, sequence: 5, since: 5, resume }] as Lead[];
    assert.deepEqual(kinds(asResumed(stored, leads(1))), new Set());
    assert.ok(kinds(asResumed(stored, leads(4))).has("repeated"));
    assert.ok(kinds(asResumed(stored, leads(0))).has("missing"));
  });
});
