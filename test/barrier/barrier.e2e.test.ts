/** G1 with rights that come and go at random. With its negative control; `npm run chaos:barrier` runs longer. */
import assert from "node:assert/strict";
import { type BarrierResult, barrierRun } from "./barrier.ts";

/** A run in which little happened would show nothing. */
const isLively = ({ permissions, sessions, heard }: BarrierResult) => permissions > 20 && sessions > 20 && heard > 100;

describe("everybody, while rights come and go at random", () => {
  it("hears what he may read and nothing else, of one nats-server, with large roles", async () => {
    const result = await barrierRun({ seconds: 2.5, enough: isLively, seed: 1 });
    assert.deepEqual(result.findings.slice(0, 5), []);
  });

  it("does so of three", async () => {
    const result = await barrierRun({ seconds: 2.5, enough: isLively, seed: 2, servers: 3 });
    assert.deepEqual(result.findings.slice(0, 5), []);
  });

  it("does so while one user does what hurts", async () => {
    const isAttacked = ({ attacks }: BarrierResult) => Object.values(attacks?.made ?? {}).every((count) => count > 0);
    const enough = (result: BarrierResult) => isLively(result) && isAttacked(result);
    const result = await barrierRun({ seconds: 2.5, enough, seed: 4, attacker: true });
    assert.deepEqual(result.findings.slice(0, 5), []);
    assert.ok(isAttacked(result), JSON.stringify(result.attacks));
  });

  it("hears more where records do not wait for removals", async () => {
    const result = await barrierRun({ seconds: 30, roundSeconds: 2, seed: 3, barrier: false, endWith: "leaked" });
    assert.ok(
      result.findings.some(({ what }) => what === "leaked"),
      JSON.stringify({ ...result, findings: result.findings.length }),
    );
  });
});
