import assert from "node:assert/strict";
import { decideEpoch, type Evidence } from "../../../bridge/takeover/epoch.ts";
import { EpochEndReader } from "../../../bridge/takeover/stored-records.ts";

const system = { id: "7", timeline: 1 };
const quiet: Evidence = {
  graph: { epoch: 3, system },
  records: { epoch: 3, system, server: "A" },
  database: { ...system, lsn: 100n },
  storedLsn: 90n,
  hasHole: false,
  slot: { isNew: false, confirmed: 50n },
  declaredStored: 60n,
  graphLogReaches: true,
  server: { id: "A", replicas: 1 },
  ends: { graph: 10, records: 20 },
  seenWhileLeading: null,
};

const CASES: [what: string, evidence: Partial<Evidence>, epoch: number, positionsHold: boolean][] = [
  ["stays where nothing has happened", {}, 3, true],
  [
    "goes on over a restart of the server that this bridge saw lose nothing",
    restarted({ seenWhileLeading: { graph: 10, records: 20 } }),
    3,
    true,
  ],
  ["stays over a restart of one of three servers", { server: { id: "B", replicas: 3 } }, 3, true],
  ["begins with a restart of the only server while nobody led", restarted({}), 4, true],
  [
    "begins where the stream is shorter than what it has acknowledged",
    { seenWhileLeading: { graph: 10, records: 21 } },
    4,
    true,
  ],
  ["begins where the graph is shorter", { seenWhileLeading: { graph: 11, records: 20 } }, 4, true],
  ["stays where the catalogs are unchanged", { ...withCatalogs("a"), catalogs: "a" }, 3, true],
  ["stays where an older bridge wrote no fingerprint of the catalogs", { catalogs: "a" }, 3, true],
  ["begins where the catalogs have changed", { ...withCatalogs("a"), catalogs: "b" }, 4, true],
  ["begins with a hole", { hasHole: true }, 4, true],
  ["begins with a new slot", { slot: { isNew: true, confirmed: 70n } }, 4, true],
  ["begins with a slot that was moved, or created again by hand", { slot: { isNew: false, confirmed: 61n } }, 4, true],
  ["begins where GRAPHLOG has no stored position", { declaredStored: null }, 4, true],
  ["begins where repeated commits cannot be routed again", { graphLogReaches: false }, 4, true],
  [
    "begins for that reason also where this process saw no loss",
    { graphLogReaches: false, seenWhileLeading: { graph: 10, records: 20 } },
    4,
    true,
  ],
  [
    "begins with another database, whose positions mean nothing",
    { database: { id: "8", timeline: 1, lsn: 100n } },
    4,
    false,
  ],
  ["begins with a promoted standby", { database: { id: "7", timeline: 2, lsn: 100n } }, 4, false],
  ["begins with a restored database", { database: { ...system, lsn: 80n } }, 4, false],
  ["begins where one stream was lost", { records: null }, 4, true],
  ["begins where one stream has a later epoch", { graph: { epoch: 5, system } }, 6, true],
  ["is the first one", { graph: null, records: null }, 1, false],
];

function withCatalogs(catalogs: string): Partial<Evidence> {
  return { records: { epoch: 3, system, server: "A", catalogs } };
}

function restarted(more: Partial<Evidence>): Partial<Evidence> {
  return { server: { id: "B", replicas: 1 }, ...more };
}

describe("an epoch", () => {
  for (const [what, evidence, epoch, positionsHold] of CASES) {
    it(what, () => {
      const decided = decideEpoch({ ...quiet, ...evidence });
      assert.equal(decided.epoch, epoch, decided.reason ?? "goes on");
      assert.equal(decided.positionsHold, positionsHold);
    });
  }
});

describe("the proof that every commit comes again", () => {
  const SURE: Partial<Evidence>[] = [
    {},
    { hasHole: true },
    restarted({}),
    { seenWhileLeading: { graph: 11, records: 20 } },
  ];
  const UNSURE: Partial<Evidence>[] = [
    { slot: { isNew: true, confirmed: 50n } },
    { slot: { isNew: false, confirmed: 61n } },
    // The hole is the reported reason. That the slot was lost too cannot be known any more.
    { hasHole: true, graph: { epoch: 2, system } },
    { hasHole: true, declaredStored: null },
    { database: { id: "8", timeline: 1, lsn: 100n } },
  ];

  it("holds whatever the streams lost, and does not hold where the slot is or may be another one", () => {
    for (const evidence of SURE) assert.equal(decideEpoch({ ...quiet, ...evidence }).commitsHold, true);
    for (const evidence of UNSURE) assert.equal(decideEpoch({ ...quiet, ...evidence }).commitsHold, false);
  });
});

describe("what is read back of a stream", () => {
  const at = (ordinal: number, lsn = 5n) => ({ lsn, ordinal, isWhole: true });

  it("ends at the first missing message, whatever comes after it", () => {
    const tail = new EpochEndReader(10);
    tail.add(10, "a", at(0));
    tail.add(11, "b", at(2));
    tail.add(13, "c", at(4));
    assert.equal(tail.next, 12);
    assert.equal(tail.last?.ordinal, 2);
  });

  it("collects the subjects of the last event", () => {
    const tail = new EpochEndReader(1);
    for (const [index, subject] of ["a", "b", "c"].entries()) tail.add(index + 1, subject, at(index === 0 ? 0 : 2));
    assert.deepEqual(tail.last?.subjects, new Set(["b", "c"]));
  });

  it("counts messages that are no events", () => {
    const tail = new EpochEndReader(1);
    tail.add(1, "a", at(0));
    tail.add(2, "leader", null);
    assert.equal(tail.next, 3);
    assert.equal(tail.last?.ordinal, 0);
  });
});
