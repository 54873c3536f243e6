import assert from "node:assert/strict";
import { fault } from "../../core/errors.ts";
import { backoffDelay, levelOfDelay, retry } from "../../runtime/backoff.ts";
import { createLog, silentLog } from "../../runtime/log/log.ts";

const backoff = { min: 25, max: 10_000 };

describe("backoff", () => {
  it("doubles from min to max", () => {
    const delays = [0, 1, 2, 3, 4, 20].map((attempt) => backoffDelay(backoff, attempt, 0));
    assert.deepEqual(delays, [25, 50, 100, 200, 400, 10_000]);
  });

  it("lets chance take up to the jitter's share away", () => {
    assert.equal(backoffDelay({ min: 100, max: 100, jitter: 0.5 }, 0, 0.5), 75);
    assert.equal(backoffDelay({ min: 100, max: 100, jitter: 0 }, 0, 0.99), 100);
  });

  it("stays finite after very many tries", () => {
    assert.equal(backoffDelay(backoff, 100_000, 0), 10_000);
  });

  it("speaks louder the longer it waits", () => {
    assert.deepEqual([999, 1_000, 6_499, 6_500].map(levelOfDelay), ["info", "warn", "warn", "error"]);
  });
});

describe("retry", () => {
  it("tries until it succeeds, sleeping longer each time and logging louder", async () => {
    const slept: number[] = [];
    const lines: string[] = [];
    const result = await retry(
      async (attempt) => {
        if (attempt < 4) throw new Error("not yet");
        return attempt;
      },
      {
        what: "reach it",
        log: createLog({ format: "json", sink: { write: (line) => lines.push(line) } }),
        backoff: { min: 500, max: 60_000, factor: 4 },
        random: () => 0,
        sleep: async (ms) => void slept.push(ms),
      },
    );
    assert.equal(result, 4);
    assert.deepEqual(slept, [500, 2_000, 8_000, 32_000]);
    const logged = lines.map((line) => JSON.parse(line) as { level: string; msg: string; reason: string });
    assert.deepEqual(
      logged.map(({ level }) => level),
      ["info", "warn", "error", "error"],
    );
    assert.equal(logged[0]?.msg, "could not reach it; retrying");
    assert.equal(logged[0]?.reason, "not yet");
  });

  const options = { what: "work", log: silentLog(), backoff, random: () => 0 };

  it("gives up at once when a retry cannot help", async () => {
    let tries = 0;
    const work = async () => {
      tries++;
      throw fault("postgres.no_logical_wal", { level: "replica" });
    };
    await assert.rejects(retry(work, { ...options, sleep: async () => {} }), { code: "postgres.no_logical_wal" });
    assert.equal(tries, 1);
  });

  it("retries after faults that are handled by retry", async () => {
    const work = async (attempt: number) => {
      if (attempt === 0) throw fault("nats.unreachable", { url: "x", reason: "y" });
      return "done";
    };
    assert.equal(await retry(work, { ...options, sleep: async () => {} }), "done");
  });

  it("throws the last error when it is stopped while it waits", async () => {
    const controller = new AbortController();
    const work = async () => {
      throw new Error("down");
    };
    const sleep = async () => controller.abort();
    await assert.rejects(retry(work, { ...options, signal: controller.signal, sleep }), /down/);
  });
});
