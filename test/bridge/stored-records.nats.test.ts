import assert from "node:assert/strict";
import { type JetStreamClient, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { readStoredRecords } from "../../bridge/stored-records.ts";
import { startNats } from "../support/nats.ts";

describe("what RECORDS holds, read back", () => {
  it("has no hole where a consumer ended with its server before it gave all", async () => {
    await using nats = await startNats();
    const nc = await nats.connect("bridge", "STORE");
    for (let i = 0; i < 5; i++) await jetstream(nc).publish(nats.subjects.moved("zzzzz-4zz18-000000000000000"), "{}");
    const jsm = await jetstreamManager(nc);
    const { js, made } = silentAtFirst(jetstream(nc));
    const { hasHole, lastSequence } = await readStoredRecords(js, jsm, nats.subjects, 0n);
    assert.deepEqual({ hasHole, lastSequence }, { hasHole: false, lastSequence: 5 });
    assert.equal(made.length, 2);
  });
});

/** The first consumer gives nothing, as one whose server was killed. */
function silentAtFirst(real: JetStreamClient) {
  const made: string[] = [];
  const silent = { fetch: async () => [], delete: async () => true };
  const get = async (stream: string, name: string) =>
    made.push(name) === 1 ? silent : real.consumers.get(stream, name);
  return { js: { consumers: { get } } as unknown as JetStreamClient, made };
}
