/**
 * Streams that are not as declared, on one server and on a cluster of three: what a plan refuses, each with what would happen if it did not; what
 * it updates; and what only nats-server can refuse.
 */

import assert from "node:assert/strict";
import { type JetStreamManager, jetstream, jetstreamManager, type StreamConfig } from "@nats-io/jetstream";
import { Fault } from "../../core/errors.ts";
import type { NatsServer } from "../../dev/servers/nats-server.ts";
import { until } from "../../dev/testing/until.ts";
import type { StreamAccount } from "../../streams-config/accounts.ts";
import { applyStreams, runStreams, STREAM_VERBS, type StreamConnections } from "../../streams-config/apply.ts";
import { REFUSALS } from "../../streams-config/stream-plan.ts";
import { type DeclaredConfig, type DeclaredStream, declaredStreams } from "../../streams-config/streams.ts";
import { startNats, type TestNats } from "../support/servers/nats.ts";
import { startTestCallout } from "../support/worlds/callout.ts";

const MIB = 1024 * 1024;
const SMALL = {
  recordsBytes: 64 * MIB,
  logsBytes: 64 * MIB,
  graphLogBytes: 64 * MIB,
  syslogBytes: 64 * MIB,
  maxMsgSize: MIB,
};
const SUBJECTS = {
  LOGS: "arvados.zzzzz.log.a",
  RECORDS: "arvados.zzzzz.rec.a",
  QUEUE: "arvados.zzzzz.queue.a",
} as const;
type Stored = keyof typeof SUBJECTS;

/** What nats-server does when one brings the stream into line all the same. */
type Unguarded = "refuses too" | "would delete messages" | "would say nothing";
type Refused = [
  setting: string,
  stream: Stored,
  /** How somebody has made it. */
  actual: Partial<StreamConfig>,
  reason: RegExp,
  unguarded: Unguarded,
  /** What differs from our declaration. */
  declared?: Partial<DeclaredConfig>,
];

const REFUSED: readonly Refused[] = [
  ["storage", "LOGS", { storage: "memory" }, /is memory and cannot be changed to file/, "refuses too"],
  ["retention", "LOGS", { retention: "workqueue" }, /is workqueue and cannot be changed/, "refuses too"],
  ["deny_purge", "LOGS", { deny_purge: true }, /is on/, "refuses too"],
  ["deny_delete", "LOGS", { deny_delete: true }, /is on/, "refuses too", { deny_delete: false }],
  ["allow_msg_ttl", "LOGS", { allow_msg_ttl: true }, /is on/, "refuses too"],
  ["allow_msg_schedules", "LOGS", { allow_msg_schedules: true, allow_rollup_hdrs: true }, /is on/, "refuses too"],
  ["max_age", "LOGS", { max_age: 0 }, /shrink from unlimited to 1s/, "would delete messages", { max_age: 1e9 }],
  ["max_bytes", "LOGS", { max_bytes: MIB }, /shrink from 1048576 to 100/, "would delete messages", { max_bytes: 100 }],
  ["max_msgs", "LOGS", { max_msgs: -1 }, /shrink from unlimited to 1,/, "would delete messages", { max_msgs: 1 }],
  ["max_msgs_per_subject", "QUEUE", { max_msgs_per_subject: 5 }, /from 5 to 1,/, "would delete messages"],
  ["no_ack", "LOGS", { no_ack: true }, /somebody has set/, "would say nothing"],
  ["mirror", "LOGS", { mirror: { name: "QUEUE" }, subjects: [], max_msg_size: MIB }, /somebody/, "would say nothing"],
  ["sources", "LOGS", { sources: [{ name: "QUEUE" }], max_msg_size: MIB }, /somebody has set/, "would say nothing"],
  ["subject_transform", "LOGS", { subject_transform: { src: ">", dest: "x.>" } }, /somebody/, "would say nothing"],
  ["subject_delete_marker_ttl", "QUEUE", { subject_delete_marker_ttl: 1e9 }, /somebody/, "would say nothing"],
  [
    "discard_new_per_subject",
    "QUEUE",
    { discard: "new", discard_new_per_subject: true },
    /somebody/,
    "would say nothing",
  ],
  ["sealed", "LOGS", { sealed: true }, /somebody has set .* cannot be undone/, "refuses too"],
  ["allow_msg_counter", "LOGS", { allow_msg_counter: true }, /somebody has set .* cannot be undone/, "refuses too"],
];

/** Of LOGS. */
const UPDATED: readonly [setting: string, actual: Partial<StreamConfig>][] = [
  ["subjects", { subjects: ["arvados.zzzzz.log.>", "elsewhere"] }],
  ["max_consumers", { max_consumers: 5 }],
  ["max_msg_size", { max_msg_size: MIB }],
  ["discard", { discard: "new" }],
  ["compression", { compression: "none" }],
  ["allow_direct", { allow_direct: false }],
  ["allow_atomic", { allow_atomic: true }],
  ["allow_rollup_hdrs", { allow_rollup_hdrs: true }],
  ["duplicate_window", { duplicate_window: 1e9 }],
  ["republish", { republish: { src: ">", dest: "elsewhere.>" } }],
  ["max_age", { max_age: 1e12 }],
  ["max_bytes", { max_bytes: MIB }],
  ["max_msgs_per_subject", { max_msgs_per_subject: 100 }],
];

describe("what a plan refuses", () => {
  it("is tried below, every setting of it", () => {
    assert.deepEqual(REFUSED.map(([setting]) => setting).sort(), Object.values(REFUSALS).flat().sort());
  });
});

for (const servers of [1, 3] as const) {
  describe(`streams that are not as declared, on ${servers === 1 ? "one server" : "a cluster of three"},`, () => {
    let nats: TestNats;
    let both: StreamConnections;
    /** May do anything, which nobody in the product may. */
    let admin: Record<StreamAccount, JetStreamManager>;
    let publish: (subject: string) => Promise<unknown>;

    const declaration = (replicas: number = servers) =>
      declaredStreams({
        clusterId: "zzzzz",
        profile: { ...SMALL, replicas },
      });
    const declarationOf = (name: string, declared = declaration()) => {
      const found = declared.find((one) => one.name === name);
      assert.ok(found);
      return found;
    };
    const changed = (name: string, over: Partial<DeclaredConfig>) =>
      declaration().map((one) => (one.name === name ? { ...one, config: { ...one.config, ...over } } : one));
    const stateOf = async (account: StreamAccount, name: string) => {
      const { config, state } = await admin[account].streams.info(name);
      return { config, messages: state.messages };
    };
    const everything = () => Promise.all(declaration().map(({ account, name }) => stateOf(account, name)));
    const actionsOf = async (declared: DeclaredStream[]) => {
      const { plan } = await runStreams("plan", both, declared);
      return plan.filter((step) => step.action !== "same").map((step) => `${step.action} ${step.stream.name}`);
    };

    before(async () => {
      nats = await startNats({ streams: false, servers, reconnect: true });
      both = { CORE: await nats.connect("streams", "CORE"), STORE: await nats.connect("streams", "STORE") };
      await startTestCallout(nats, ({ auth_token: account = "" }) => ({
        ...{ name: "admin", account, publish: [">"], subscribe: [">"] },
      }));
      const [core, store] = [await nats.connectUser({ token: "CORE" }), await nats.connectUser({ token: "STORE" })];
      admin = { CORE: await jetstreamManager(core), STORE: await jetstreamManager(store) };
      publish = (subject) => jetstream(store).publish(subject, "a message", { retries: 10 });
    });
    after(() => nats?.[Symbol.asyncDispose]());
    // A cluster that has just lost a stream may leave a question about it without an answer.
    beforeEach(async () => {
      await until(() => applyStreams(both, declaration()).catch((error) => !unavailable(error)), "streams as declared");
    });

    /** The stream as somebody else would have made it, with messages: three, or more where nats-server finds some of an earlier one's. */
    async function remake(name: Stored, actual: Partial<StreamConfig>): Promise<void> {
      const { republish, ...config } = declarationOf(name).config;
      const plain = { ...config, ...(republish ? { republish } : {}), deny_delete: false, deny_purge: false };
      await admin.STORE.streams.delete(name);
      // These say what may come in, so they are set when it has.
      const late = Object.keys(actual).some((setting) =>
        ["sealed", "no_ack", "discard_new_per_subject"].includes(setting),
      );
      await admin.STORE.streams.add({ ...plain, ...(late ? {} : actual), name } as StreamConfig & { name: string });
      if (!actual.mirror && !actual.allow_msg_counter)
        for (let count = 0; count < 3; count++) await publish(SUBJECTS[name]);
      if (late) await admin.STORE.streams.update(name, actual);
    }

    /** With nobody to refuse it. */
    async function bringIntoLine(setting: string, { name, config }: DeclaredStream): Promise<boolean> {
      const update = { [setting]: undefined, ...config, republish: config.republish ?? undefined };
      return admin.STORE.streams.update(name, update as Partial<StreamConfig>).then(
        () => true,
        () => false,
      );
    }

    describe("are left alone for the sake of", () => {
      let remade: Stored;
      afterEach(() => admin.STORE.streams.delete(remade).then(() => {}));

      for (const [setting, name, actual, reason, unguarded, over = {}] of REFUSED) {
        it(`${setting}, where nats-server ${unguarded}`, async () => {
          remade = name;
          await remake(name, actual);
          // With one stream refused, another one's update is not begun either.
          const declared = changed(name, over).map((one) =>
            one.name === "GRAPH" ? { ...one, config: { ...one.config, max_consumers: 999 } } : one,
          );
          const before = await everything();
          for (const verb of STREAM_VERBS) {
            const { plan, text, exitCode } = await runStreams(verb, both, declared);
            assert.equal(exitCode, 1, verb);
            const steps = plan.filter((step) => step.action !== "same");
            assert.deepEqual(
              steps.map((step) => `${step.action} ${step.stream.name}`),
              ["update GRAPH", `refuse ${name}`],
            );
            const [, step] = steps;
            assert.ok(step?.action === "refuse" && step.reason.includes(setting), text);
            assert.match(step.reason, reason);
            assert.match(step.remedy, /by hand/);
          }
          assert.deepEqual(await everything(), before);

          const wanted = declarationOf(name, declared);
          assert.equal(await bringIntoLine(setting, wanted), unguarded !== "refuses too");
          const left = () => stateOf("STORE", name).then(({ messages }) => messages);
          const messages = before[declared.indexOf(wanted)]?.messages ?? 0;
          if (unguarded === "would delete messages")
            await until(async () => (await left()) < messages, "messages that go");
          else assert.equal(await left(), messages);
        });
      }
    });

    describe("are corrected, with every message, in", () => {
      for (const [setting, actual] of UPDATED) {
        it(setting, async () => {
          await publish(SUBJECTS.LOGS);
          await admin.STORE.streams.update("LOGS", actual);
          const { messages } = await stateOf("STORE", "LOGS");
          assert.ok(messages > 0);
          assert.deepEqual(await actionsOf(declaration()), ["update LOGS"]);
          assert.equal((await runStreams("apply", both, declaration())).exitCode, 0);
          assert.equal((await runStreams("check", both, declaration())).exitCode, 0);
          assert.equal((await stateOf("STORE", "LOGS")).messages, messages);
        });
      }
    });

    describe("are not corrected where nats-server refuses it, which is reported:", () => {
      const rejects = async (declared: DeclaredStream[], says: RegExp, remedy: RegExp) => {
        await assert.rejects(runStreams("apply", both, declared), (error) => {
          assert.ok(error instanceof Fault && error.code === "stream.drift");
          assert.match(error.message, says);
          assert.match(error.remedy, remedy);
          return true;
        });
      };

      it("more replicas than servers", async () => {
        const before = await everything();
        const says = /^stream GRAPH .*: (replicas > 1 not supported|no suitable peers)/;
        await rejects(declaration(5), says, /as many nats-servers as replicas/);
        assert.deepEqual(await everything(), before);
      });

      it("subjects that another stream has", async () => {
        await admin.STORE.streams.delete("LOGS");
        await admin.STORE.streams.add({ name: "OTHER", subjects: [SUBJECTS.LOGS], max_consumers: 5 });
        await publish(SUBJECTS.LOGS);
        await rejects(declaration(), /^stream LOGS .*: subjects overlap/, /the stream .* that takes these subjects/);
        assert.equal((await stateOf("STORE", "OTHER")).messages, 1);
        await admin.STORE.streams.delete("OTHER");
      });

      it("more room than there is", async () => {
        const before = await everything();
        await rejects(changed("LOGS", { max_bytes: 1024 ** 5 }), /^stream LOGS .*: insufficient/, /limits/);
        assert.deepEqual(await everything(), before);
      });
    });

    if (servers === 3) {
      describe("with other replicas", () => {
        const placesOf = async (name: string) => {
          const { cluster } = await admin.STORE.streams.info(name);
          return 1 + (cluster?.replicas ?? []).filter((peer) => peer.current && !peer.offline).length;
        };

        it("are copied to three, and back to one, with every message", async () => {
          await remake("LOGS", { num_replicas: 1 });
          await remake("QUEUE", { num_replicas: 1, max_msgs_per_subject: 1 });
          assert.deepEqual(await actionsOf(declaration()), ["update LOGS", "update QUEUE"]);
          const { messages } = await stateOf("STORE", "LOGS");
          await runStreams("apply", both, declaration());
          await until(async () => (await placesOf("LOGS")) === 3, "three copies");
          assert.equal((await stateOf("STORE", "LOGS")).messages, messages);
          await runStreams("apply", both, declaration(1));
          await until(async () => (await placesOf("LOGS")) === 1, "one copy");
          assert.equal((await runStreams("check", both, declaration(1))).exitCode, 0);
          assert.equal((await stateOf("STORE", "LOGS")).messages, messages);
        });

        it("stay on three replicas when the smaller profile is applied by mistake: it holds less", async () => {
          const sizes = { ...SMALL, recordsBytes: 65 * MIB, logsBytes: 65 * MIB };
          const larger = declaredStreams({ clusterId: "zzzzz", profile: { ...sizes, replicas: 3 } });
          await applyStreams(both, larger);
          const before = await everything();
          const { text, exitCode } = await runStreams("apply", both, declaration(1));
          assert.equal(exitCode, 1);
          assert.match(text, /num_replicas: 3 -> 1/);
          assert.match(text, /max_bytes would shrink/);
          assert.deepEqual(await everything(), before);
          for (const name of ["RECORDS", "LOGS"]) await admin.STORE.streams.update(name, { max_bytes: 64 * MIB });
        });
      });

      describe("without a quorum", () => {
        it("are left as they are, which is reported, and are corrected when it is back", async () => {
          const [, second, third] = nats.servers as [NatsServer, NatsServer, NatsServer];
          await Promise.all([second.kill9(), third.kill9()]);
          // The one that is left may answer for a while yet, but it can change nothing.
          const wanted = changed("RECORDS", { max_consumers: 10_001 });
          const apply = () => runStreams("apply", both, wanted);
          await assert.rejects(apply, unavailable);
          await Promise.all([second.restart(), third.restart()]);
          await until(() => apply().catch((error) => !unavailable(error)), "a quorum");
          assert.equal((await runStreams("check", both, wanted)).exitCode, 0);
        });
      });
    }
  });
}

function unavailable(error: unknown): true {
  assert.ok(error instanceof Fault && error.code === "jetstream.unavailable", String(error));
  assert.match(error.message, /^JetStream does not answer for account (CORE|STORE): /);
  return true;
}
