import assert from "node:assert/strict";
import { startBridgeWorld } from "../support/worlds/bridge-world.ts";
import { fuzz } from "./fuzz.ts";

describe("rows of any content", () => {
  it("end no term, leave the bridge where PostgreSQL is, and grant nothing that Arvados does not", async () => {
    await using world = await startBridgeWorld();
    const result = await fuzz(world, { seconds: 10, seed: 11, longest: 2 * 1024 * 1024 });
    assert.deepEqual(result.findings, []);
    assert.ok(result.statements - result.refused > 100, JSON.stringify(result));
  });
});
