import assert from "node:assert/strict";
import { spawnCli } from "../support/clients/cli.ts";
import { startNats, type TestNats } from "../support/servers/nats.ts";

describe("arvados-nats streams", () => {
  let nats: TestNats;
  before(async () => {
    nats = await startNats({ streams: false });
  });
  after(() => nats?.[Symbol.asyncDispose]());

  const streams = (...args: string[]) =>
    spawnCli(["streams", ...args], {
      ARVADOS_NATS_CLUSTER_ID: nats.clusterId,
      ARVADOS_NATS_URL: nats.server.url,
      ARVADOS_NATS_NKEY_STREAMS_CORE: nats.keys.users.streams.CORE.seed,
      ARVADOS_NATS_NKEY_STREAMS_STORE: nats.keys.users.streams.STORE.seed,
    });

  it("shows what it would create, and creates nothing", async () => {
    const plan = await streams("plan");
    assert.equal(plan.code, 0, plan.text);
    for (const name of ["RECORDS", "GRAPH", "LOGS", "QUEUE", "BARRIER"]) assert.match(plan.out, new RegExp(name));
    assert.notEqual((await streams("check")).code, 0);
  });

  it("creates it, and then finds nothing to do", async () => {
    const applied = await streams("apply");
    assert.equal(applied.code, 0, applied.text);
    const check = await streams("check");
    assert.equal(check.code, 0, check.text);
    assert.equal((await streams("apply")).code, 0);
  });

  it("prints the same as JSON and as text", async () => {
    const plan = await streams("plan", "--json");
    assert.doesNotThrow(() => JSON.parse(plan.out), plan.text);
  });
});
