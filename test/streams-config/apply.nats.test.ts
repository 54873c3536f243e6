import assert from "node:assert/strict";
import { jetstreamManager } from "@nats-io/jetstream";
import { Fault } from "../../core/errors.ts";
import {
  applyPlan,
  applyStreams,
  planStreams,
  runStreams,
  type StreamConnections,
} from "../../streams-config/apply.ts";
import type { StreamPlan } from "../../streams-config/stream-plan.ts";
import { type DeclaredStream, declaredStreams } from "../../streams-config/streams.ts";
import { startNats, type TestNats } from "../support/servers/nats.ts";

const MIB = 1024 * 1024;
const declared = declaredStreams({
  clusterId: "zzzzz",
  profile: {
    replicas: 1,
    recordsBytes: 64 * MIB,
    logsBytes: 64 * MIB,
    graphLogBytes: 64 * MIB,
    syslogBytes: 64 * MIB,
    maxMsgSize: MIB,
  },
});

/** The same declaration with one stream's settings changed. */
function changed(name: string, over: Partial<DeclaredStream["config"]>): DeclaredStream[] {
  return declared.map((stream) =>
    stream.name === name ? { ...stream, config: { ...stream.config, ...over } } : stream,
  );
}

async function connections(nats: TestNats): Promise<StreamConnections> {
  return { CORE: await nats.connect("streams", "CORE"), STORE: await nats.connect("streams", "STORE") };
}

describe("streams on a server", () => {
  let nats: TestNats;
  let both: StreamConnections;
  before(async () => {
    nats = await startNats({ streams: false });
    both = await connections(nats);
  });
  after(() => nats[Symbol.asyncDispose]());

  it("are planned, created, found as declared, and left unchanged the second time", async () => {
    assert.match((await runStreams("plan", both, declared)).text, /^\+ CORE GRAPH: create/);
    assert.equal((await runStreams("check", both, declared)).exitCode, 1);
    const made = await runStreams("apply", both, declared);
    assert.deepEqual([made.exitCode, made.text.split("\n").at(-1)], [0, "7 applied"]);
    assert.equal((await runStreams("check", both, declared)).exitCode, 0);
    const again = await runStreams("apply", both, declared);
    assert.deepEqual([again.exitCode, again.text.split("\n").at(-1)], [0, "nothing to do"]);
  });

  it("are updated in place without losing a message", async () => {
    await applyStreams(both, declared);
    const bridge = await nats.connect("bridge", "STORE");
    await bridge.request("arvados.zzzzz.queue.a", "1");
    const wider = changed("QUEUE", { max_msgs_per_subject: 3, max_consumers: 2_000, republish: null });
    const plan = await applyStreams(both, wider);
    assert.deepEqual(
      plan.filter((step) => step.action !== "same").map((step) => `${step.action} ${step.stream.name}`),
      ["update QUEUE"],
    );
    assert.ok((await planStreams(both, wider)).every((step) => step.action === "same"));
    const manager = await jetstreamManager(bridge);
    assert.equal((await manager.streams.info("QUEUE")).state.messages, 1);
    // And back is refused, since it would delete messages.
    const back = await runStreams("apply", both, declared);
    assert.equal(back.exitCode, 1);
    assert.match(back.text, /! STORE QUEUE: refuse[\s\S]*remedy: .*\n[\s\S]*nothing was changed: 1 refused$/);
  });

  it("are all left as they are when one of them is refused", async () => {
    const wanted = changed("LOGS", { storage: "memory" }).map((stream) =>
      stream.name === "RECORDS"
        ? { ...stream, config: { ...stream.config, max_age: 2 * stream.config.max_age } }
        : stream,
    );
    const plan = await planStreams(both, wanted);
    await assert.rejects(applyPlan(both, plan), (error) => error instanceof Fault && error.code === "stream.drift");
    const { text } = await runStreams("plan", both, wanted);
    assert.match(text, /~ STORE RECORDS: update/, "RECORDS still waits for its update");
  });

  it("lose an undeclared republish", async () => {
    const leaking = changed("LOGS", { republish: { src: ">", dest: "elsewhere.>" } });
    const onlyLogs = (plan: StreamPlan) => plan.filter((step) => step.stream.name === "LOGS");
    await applyPlan(both, onlyLogs(await planStreams(both, leaking)));
    const plan = await planStreams(both, declared);
    assert.equal(plan.find((step) => step.stream.name === "LOGS")?.action, "update");
    await applyPlan(both, onlyLogs(plan));
    const manager = await jetstreamManager(both.STORE);
    assert.equal((await manager.streams.info("LOGS")).config.republish, undefined);
  });

  it("cannot be deleted or purged by the user who applies them", async () => {
    const manager = await jetstreamManager(both.STORE, { timeout: 500 });
    for (const attempt of [
      () => manager.streams.delete("RECORDS"),
      () => manager.streams.purge("LOGS"),
      () => manager.streams.deleteMessage("QUEUE", 1),
    ]) {
      await assert.rejects(attempt, /permissions violation/i);
    }
  });
});
