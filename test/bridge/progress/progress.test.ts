import assert from "node:assert/strict";
import { type Beat, type BeatParts, Progress } from "../../../bridge/progress/progress.ts";
import { deferred } from "../../../runtime/deferred.ts";

const SYNC_DELAY = 1_000;
const CONFIRMED = 50n;

/** The first beat of a term in which PostgreSQL has written up to 200 and everything up to `passed` is stored. */
async function firstBeat({ passed, ...overrides }: { passed: bigint } & Partial<BeatParts>) {
  const progress = new Progress({ syncDelay: SYNC_DELAY, now: () => 1_000_000 });
  const steps: string[] = [];
  const beat = deferred<Beat>();
  progress.passed(passed);
  const parts: BeatParts = {
    readFlushed: async () => 200n,
    onStored: (lsn) => steps.push(`stored ${lsn}`),
    publishFrom: 0n,
    publishStored: async (lsn) => void steps.push(`publish ${lsn}`),
    floor: (safe) => safe,
    publishBeat: (time) => steps.push(`beat ${time}`),
    onBeat: beat.resolve,
    ...overrides,
  };
  const replication = { confirm: async (lsn: bigint) => void steps.push(`confirm ${lsn}`) };
  const stop = progress.startBeats(replication, CONFIRMED, parts, beat.reject);
  const found = await beat.promise;
  stop();
  return { steps, found };
}

describe("a beat", () => {
  it("publishes the stored position before it confirms, and confirms no less than before the term", async () => {
    const { steps, found } = await firstBeat({ passed: 100n });
    assert.deepEqual(steps, ["stored 100", "publish 100", "confirm 50", "beat null"]);
    assert.deepEqual(found, { time: null, flushed: 200n, stored: 100n, confirmed: CONFIRMED });
  });

  it("has the time of the sample once everything up to its position has passed", async () => {
    assert.equal((await firstBeat({ passed: 200n })).found.time, 1_000_000);
  });

  it("publishes no stored position before the one that the graph was published at", async () => {
    const { steps } = await firstBeat({ passed: 100n, publishFrom: 101n });
    assert.ok(!steps.includes("publish 100"));
  });

  it("confirms what is safe, as far as the next leader does not need it", async () => {
    const { found } = await firstBeat({ passed: 100n, floor: () => 80n });
    assert.equal(found.confirmed, 80n);
  });

  it("fails where the catalogs have changed", async () => {
    const changed = new Error("changed");
    await assert.rejects(firstBeat({ passed: 100n, readFlushed: () => Promise.reject(changed) }), changed);
  });
});
