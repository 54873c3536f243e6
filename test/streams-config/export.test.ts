import assert from "node:assert/strict";
import { parseAllDocuments } from "yaml";
import { exportStreams, streamConfig } from "../../streams-config/export.ts";
import { planStream } from "../../streams-config/stream-plan.ts";
import { declaredStreams } from "../../streams-config/streams.ts";

const streams = declaredStreams({ clusterId: "zzzzz", profile: "cluster" });

describe("streams in the formats of other tools", () => {
  it("are the declared ones, so that nothing would be left to apply", () => {
    for (const stream of streams) assert.equal(planStream(stream, streamConfig(stream)).action, "same");
    assert.deepEqual(
      JSON.parse(exportStreams(streams, "json")).map(({ name }: { name: string }) => name),
      streams.map(({ name }) => name),
    );
  });

  it("are one NACK resource each, which keeps the data when it is removed", () => {
    const resources = parseAllDocuments(exportStreams(streams, "nack")).map((document) => document.toJS());
    assert.deepEqual(
      resources.map(({ spec }) => spec.name),
      streams.map(({ name }) => name),
    );
    const records = resources.find(({ spec }) => spec.name === "RECORDS");
    assert.equal(records.spec.maxAge, "336h");
    assert.equal(records.spec.replicas, 3);
    assert.equal(records.spec.duplicateWindow, "100ms");
    assert.deepEqual(records.spec.republish, { source: "arvados.zzzzz.rec.>", destination: "arvados.zzzzz.live.>" });
    assert.ok(resources.every(({ spec }) => spec.preventDelete && !JSON.stringify(spec).includes("null")));
  });
});
