import assert from "node:assert/strict";
import type { StreamConfig } from "@nats-io/jetstream";
import { formatPlan, planStream } from "../../streams-config/stream-plan.ts";
import { type DeclaredStream, declaredStreams } from "../../streams-config/streams.ts";

const streams = declaredStreams({ clusterId: "zzzzz" });
const named = (name: string) => streams.find((stream) => stream.name === name) as DeclaredStream;

/** What a server answers for a stream that is as declared. */
function actual(name: string, over: Partial<StreamConfig> = {}): Partial<StreamConfig> {
  const { republish, ...config } = named(name).config;
  return { ...config, name, ...(republish ? { republish } : {}), ...over };
}

describe("a stream's plan", () => {
  it("creates what is not there", () => {
    assert.equal(planStream(named("RECORDS"), null).action, "create");
  });

  it("leaves alone what is as declared", () => {
    for (const stream of streams) assert.equal(planStream(stream, actual(stream.name)).action, "same");
  });

  it("takes what the server leaves out for off, and does not mind the order of subjects", () => {
    const { allow_msg_ttl: _ttl, allow_rollup_hdrs: _rollup, compression: _none, ...rest } = actual("RECORDS");
    const subjects = [...(rest.subjects ?? [])].reverse();
    assert.equal(planStream(named("RECORDS"), { ...rest, subjects }).action, "same");
  });

  it("updates what can be changed in place, and names each change with its reason", () => {
    const step = planStream(named("RECORDS"), actual("RECORDS", { max_age: 1e9, allow_rollup_hdrs: true }));
    assert.equal(step.action, "update");
    const text = formatPlan([step]);
    assert.match(text, /^~ STORE RECORDS: update/);
    assert.match(text, /max_age: 1s -> 1209600s {2}# two weeks of history/);
    assert.match(text, /allow_rollup_hdrs: true -> false {2}# a header could delete/);
  });

  it("removes an undeclared republish", () => {
    const step = planStream(named("GRAPH"), actual("GRAPH", { republish: { src: ">", dest: "elsewhere.>" } }));
    assert.equal(step.action, "update");
  });

  const refused: [name: string, over: Partial<StreamConfig>, reason: RegExp][] = [
    ["RECORDS", { storage: "memory" }, /storage is memory/],
    ["RECORDS", { retention: "workqueue" }, /retention is workqueue/],
    ["LOGS", { deny_purge: true }, /deny_purge is on/],
    ["LOGS", { allow_msg_ttl: true }, /allow_msg_ttl is on/],
    ["LOGS", { allow_msg_schedules: true }, /allow_msg_schedules is on/],
    ["RECORDS", { max_age: 0 }, /max_age would shrink from unlimited to 1209600s, which deletes/],
    ["QUEUE", { max_msgs_per_subject: 5 }, /would shrink from 5 to 1/],
    ["LOGS", { max_bytes: -1 }, /max_bytes would shrink from unlimited/],
    ["LOGS", { sealed: true }, /somebody has set sealed/],
    ["GRAPH", { discard_new_per_subject: true }, /discard_new_per_subject/],
    ["RECORDS", { subject_transform: { src: ">", dest: "x.>" } }, /subject_transform/],
  ];
  for (const [name, over, reason] of refused) {
    it(`refuses ${name} with ${JSON.stringify(over)}, with a remedy`, () => {
      const step = planStream(named(name), actual(name, over));
      assert.ok(step.action === "refuse");
      assert.match(step.reason, reason);
      assert.match(step.remedy, /by hand/);
      assert.match(formatPlan([step]), /^! .*\n(.*\n)* {4}refused: .*\n {4}remedy: /);
    });
  }

  it("refuses for every reason at once, with the remedy that all of them need", () => {
    const step = planStream(named("LOGS"), actual("LOGS", { sealed: true, max_age: 0, deny_purge: true }));
    assert.ok(step.action === "refuse");
    assert.match(
      step.reason,
      /^max_age would shrink .*; deny_purge is on.*; somebody has set sealed.* cannot be undone$/,
    );
    assert.match(step.remedy, /^copy what is worth keeping, remove the stream by hand, and apply again$/);
    const bounds = planStream(named("LOGS"), actual("LOGS", { max_age: 0, max_bytes: -1 }));
    assert.ok(
      bounds.action === "refuse" &&
        bounds.remedy === "set it by hand if those messages may go, or declare at least unlimited",
    );
  });
});
