import assert from "node:assert/strict";
import { jetstreamManager, type StreamConfig } from "@nats-io/jetstream";
import { Fault } from "../../core/errors.ts";
import {
  applyPlan,
  applyStreams,
  planStreams,
  runStreams,
  type StreamConnections,
} from "../../streams-config/apply.ts";
import { type Plan, planStream } from "../../streams-config/plan.ts";
import { type DeclaredStream, declaredStreams } from "../../streams-config/streams.ts";
import { startTestCallout } from "../support/callout.ts";
import { startNats, type TestNats } from "../support/nats.ts";

const MIB = 1024 * 1024;
const declared = declaredStreams({
  clusterId: "zzzzz",
  profile: { replicas: 1, recordsBytes: 64 * MIB, logsBytes: 64 * MIB, maxMsgSize: MIB },
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

  it("are planned, made, found as declared, and left alone the second time", async () => {
    assert.match((await runStreams("plan", both, declared)).text, /^\+ CORE GRAPH: create/);
    assert.equal((await runStreams("check", both, declared)).exitCode, 1);
    const made = await runStreams("apply", both, declared);
    assert.deepEqual([made.exitCode, made.text.split("\n").at(-1)], [0, "5 applied"]);
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

  it("lose a republish that nobody declared", async () => {
    const leaking = changed("LOGS", { republish: { src: ">", dest: "elsewhere.>" } });
    const onlyLogs = (plan: Plan) => plan.filter((step) => step.stream.name === "LOGS");
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

  it("whose declaration the server does not take end in a fault that names the stream", async () => {
    const tooLarge = changed("LOGS", { max_bytes: 1024 ** 5 });
    await assert.rejects(applyStreams(both, tooLarge), /stream (LOGS|QUEUE) cannot be brought into line/);
  });
});

describe("what a plan refuses", () => {
  const refusedByServer: [setting: string, from: Partial<StreamConfig>, to: Partial<StreamConfig>][] = [
    ["storage", { storage: "file" }, { storage: "memory" }],
    ["retention", { retention: "limits" }, { retention: "workqueue" }],
    ["deny_delete", { deny_delete: true }, { deny_delete: false }],
    ["deny_purge", { deny_purge: true }, { deny_purge: false }],
    ["allow_msg_ttl", { allow_msg_ttl: true }, { allow_msg_ttl: false }],
    ["allow_msg_schedules", { allow_msg_schedules: true, allow_rollup_hdrs: true }, { allow_msg_schedules: false }],
  ];
  const takenByServer: [setting: string, from: Partial<StreamConfig>, to: Partial<StreamConfig>][] = [
    ["max_consumers", { max_consumers: 5 }, { max_consumers: 6 }],
    ["max_msg_size", { max_msg_size: 500 }, { max_msg_size: 400 }],
    ["discard", { discard: "old" }, { discard: "new" }],
    ["compression", { compression: "none" }, { compression: "s2" }],
    ["allow_direct", { allow_direct: true }, { allow_direct: false }],
    ["allow_atomic", { allow_atomic: true }, { allow_atomic: false }],
    ["allow_rollup_hdrs", { allow_rollup_hdrs: true }, { allow_rollup_hdrs: false }],
    ["duplicate_window", { duplicate_window: 1e9 }, { duplicate_window: 1e8 }],
    ["republish", { republish: { src: "a.>", dest: "b.>" } }, {}],
    ["subjects", { subjects: ["a.>", "c"] }, { subjects: ["a.>"] }],
    ["max_age", { max_age: 1e12 }, { max_age: 2e12 }],
    ["max_bytes", { max_bytes: 1e6 }, { max_bytes: 2e6 }],
  ];

  it("is what nats-server refuses too, and what it plans to update nats-server takes", async () => {
    // With the other streams there: a server that deletes an account's last stream removes the folder, late, under the next one's feet.
    await using nats = await startNats();
    // Nobody in the product may do what follows, so a callout makes a user who may do anything in STORE.
    await startTestCallout(nats, () => ({ name: "admin", account: "STORE", publish: [">"], subscribe: [">"] }));
    const manager = await jetstreamManager(await nats.connectUser({ token: "any" }));
    const base = declared.find((stream) => stream.name === "LOGS") as DeclaredStream;
    let count = 0;
    const verdicts = async (from: Partial<StreamConfig>, to: Partial<StreamConfig>): Promise<[string, boolean]> => {
      const neutral = {
        ...base.config,
        deny_delete: false,
        republish: undefined,
        subjects: ["a.>"],
      } as unknown as Partial<StreamConfig>;
      const wanted = { ...base, config: { ...neutral, republish: null, ...to } as DeclaredStream["config"] };
      const name = `T${count++}`;
      await manager.streams.add({ ...neutral, ...from, name });
      const plan = planStream(wanted, (await manager.streams.info(name)).config);
      const taken = await manager.streams.update(name, { ...neutral, ...to }).then(
        () => true,
        () => false,
      );
      await manager.streams.delete(name);
      return [plan.action, taken];
    };
    for (const [setting, from, to] of refusedByServer) {
      assert.deepEqual(await verdicts(from, to), ["refuse", false], setting);
    }
    for (const [setting, from, to] of takenByServer) {
      assert.deepEqual(await verdicts(from, to), ["update", true], setting);
    }
  });
});
