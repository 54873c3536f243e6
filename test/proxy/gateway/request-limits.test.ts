/** What a session and a user may ask of the gateway, and that what is beyond costs little. */
import assert from "node:assert/strict";
import { RecordsSequence } from "../../../proxy/gateway/records-sequence.ts";
import { RequestLimits, type RequestVerdict, UNDER_WAY_PER_SESSION } from "../../../proxy/gateway/request-limits.ts";
import { deferred } from "../../../runtime/deferred.ts";

const PER_SECOND = 50;
const limits = () => new RequestLimits(PER_SECOND, (user) => user === "anonymous");

function tally(count: number, ask: (i: number) => RequestVerdict): Record<RequestVerdict, number> {
  const found: Record<RequestVerdict, number> = { accept: 0, refuse: 0, large: 0, drop: 0, flood: 0 };
  for (let i = 0; i < count; i++) found[ask(i)] += 1;
  return found;
}

describe("requests of a session", () => {
  it("are taken at their rate without end, and in a burst of some seconds' worth", () => {
    const of = limits();
    const steady = tally(60 * PER_SECOND, (i) => of.ofSession("a.b", "whoami", 0, i * (1_000 / PER_SECOND)));
    assert.equal(steady.accept, 60 * PER_SECOND);
    const burst = tally(1_000, () => limits().ofSession("a.b", "whoami", 0, 0));
    assert.equal(burst.accept, 1_000, "each of its own session");
    const one = limits();
    assert.equal(tally(1_000, () => one.ofSession("a.b", "whoami", 0, 0)).accept, 2 * PER_SECOND);
  });

  it("beyond it are refused once a second and else dropped, and reported where they are far beyond; others are taken", () => {
    const of = limits();
    const found = tally(40_000, () => of.ofSession("a.b", "whoami", 0, 10_000));
    assert.deepEqual(found, {
      accept: 2 * PER_SECOND,
      refuse: 1,
      large: 0,
      drop: 40_000 - 2 * PER_SECOND - 2,
      flood: 1,
    });
    assert.equal(of.ofSession("c.d", "whoami", 0, 10_000), "accept");
    assert.equal(of.ofSession("a.b", "whoami", 0, 60_000), "accept", "and so is this one after a while");
  });

  it("with bodies that are too large are not taken, and few of them are a flood; of one who has flooded, the first", () => {
    const of = limits();
    const large = (session: string) => of.ofSession(session, "tail", 128 * 1024, 10_000);
    assert.deepEqual(
      Array.from({ length: 10 }, () => large("a.b")),
      [...Array(8).fill("large"), "flood", "drop"],
    );
    large("c.d");
    assert.equal(of.ofLarge("c.d", "eve", 10_000), "drop");
    of.flooded("eve", 10_000);
    assert.equal(of.ofLarge("c.d", "eve", 10_000), "flood");
    assert.equal(of.ofLarge("e.f", "bob", 10_000), "drop");
    assert.equal(of.ofLarge("g.h", "eve", 100_000), "drop", "but not without end");
  });

  it("leave room for a log that is read fast: `more` costs little", () => {
    const of = limits();
    assert.equal(tally(5_000, (i) => of.ofSession("a.b", "more", 60, i * 2.5)).accept, 5_000);
  });

  it("are bounded by user too, over all sessions of the user, and by how many are under way", () => {
    const of = limits();
    const found = tally(10_000, () => of.ofUser("alice", "whoami", 10_000));
    assert.equal(found.accept, 2 * 4 * PER_SECOND);
    assert.equal(of.ofUser("bob", "whoami", 10_000), "accept");
    const done: (() => void)[] = [];
    for (let i = 0; i < UNDER_WAY_PER_SESSION; i++) {
      assert.equal(of.ofSession("e.f", "whoami", 0, 10_000), "accept");
      done.push(of.begin("e.f", "eve"));
    }
    assert.equal(of.ofSession("e.f", "whoami", 0, 10_000), "refuse");
    for (const end of done) end();
    assert.equal(of.ofSession("e.f", "whoami", 0, 10_000), "accept");
  });
});

describe("RECORDS' last sequence", () => {
  it("is read after it was asked for, once for all who ask meanwhile", async () => {
    let at = 0;
    const reads: ReturnType<typeof deferred<void>>[] = [];
    const sequence = new RecordsSequence(async () => {
      const read = deferred<void>();
      reads.push(read);
      const seen = at;
      await read.promise;
      return seen;
    });
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    const first = sequence.now();
    await turn();
    at = 7;
    const others = Array.from({ length: 40_000 }, () => sequence.now());
    await turn();
    assert.equal(reads.length, 1);
    reads[0]?.resolve();
    await turn();
    assert.equal(reads.length, 2);
    reads[1]?.resolve();
    assert.equal(await first, 0);
    assert.deepEqual(new Set(await Promise.all(others)), new Set([7]), "not what the first read had seen");
    assert.equal(reads.length, 2);
  });

  it("that cannot be read fails for those who asked, and is read for those who ask next", async () => {
    let works = false;
    const sequence = new RecordsSequence(async () => {
      if (!works) throw new Error("no");
      return 3;
    });
    await assert.rejects(sequence.now());
    works = true;
    assert.equal(await sequence.now(), 3);
  });
});
