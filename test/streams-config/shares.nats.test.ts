/** Who writes without end into a stream that many write into pushes out its own messages, and nobody else's. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { LOG_FILES } from "../../core/logs/log-files.ts";
import { SYSLOG_LEVELS, subjectsOf } from "../../core/subjects.ts";
import { applyStreams } from "../../streams-config/apply.ts";
import { declaredStreams, STREAM_PROFILES } from "../../streams-config/streams.ts";
import { startNats, type TestNats } from "../support/servers/nats.ts";
import { startTestCallout } from "../support/worlds/callout.ts";

const MIB = 1024 * 1024;
const BYTES = 16 * MIB;
const PROFILE = {
  ...STREAM_PROFILES.single,
  recordsBytes: BYTES,
  graphLogBytes: BYTES,
  logsBytes: BYTES,
  syslogBytes: BYTES,
};
const { root, log } = subjectsOf("zzzzz");
const LOUD = "zzzzz-dz642-loudloudloudlou";
const DECLARED = declaredStreams({ clusterId: "zzzzz", profile: PROFILE });

const STREAMS = {
  LOGS: { loud: LOG_FILES.map((file) => log(LOUD, file)), other: log("zzzzz-dz642-quietquietquiet", "stdout.txt") },
  SYSLOG: {
    loud: SYSLOG_LEVELS.map((level) => `${root}.sys.keepstore.loud.${level}`),
    other: `${root}.sys.keepstore.quiet.error`,
  },
};
type Name = keyof typeof STREAMS;

describe("of a stream that many write into", () => {
  let nats: TestNats;
  let writer: NatsConnection;

  before(async () => {
    nats = await startNats({ profile: PROFILE });
    await startTestCallout(nats, () => ({ name: "admin", account: "STORE", publish: [">"], subscribe: [">"] }));
    writer = await nats.connectUser({ token: "STORE" });
  });
  after(() => nats?.[Symbol.asyncDispose]());

  /** Twice as many bytes as the stream takes, each message as large as it may be and not to be compressed. */
  async function shout(name: Name): Promise<void> {
    const size = DECLARED.find((stream) => stream.name === name)?.config.max_msg_size ?? 0;
    const js = jetstream(writer);
    const body = randomBytes(size);
    const { loud } = STREAMS[name];
    for (let sent = 0; sent < 2 * BYTES; sent += loud.length * size)
      await Promise.all(loud.map((subject) => js.publish(subject, body)));
  }

  for (const name of Object.keys(STREAMS) as Name[]) {
    const { loud, other } = STREAMS[name];

    it(`${name}, the loudest holds a tenth, and what others wrote before stays`, async () => {
      const { streams } = await jetstreamManager(writer);
      await jetstream(writer).publish(other, "of before");
      await shout(name);
      assert.equal((await streams.getMessage(name, { last_by_subj: other }))?.string(), "of before");
      const { state } = await streams.info(name, { subjects_filter: ">" });
      assert.equal(Object.keys(state.subjects ?? {}).length, loud.length + 1);
      assert.ok(state.bytes <= BYTES / 10, `${state.bytes} bytes are held`);
      assert.ok(state.bytes > BYTES / 15, `only ${state.bytes} bytes are held`);
    });

    it(`${name} as it was declared before, nothing of the others stays; \`streams apply\` brings it into line`, async () => {
      const { streams } = await jetstreamManager(writer);
      await streams.update(name, { max_msgs_per_subject: 100_000 });
      await jetstream(writer).publish(other, "of before");
      await shout(name);
      assert.equal(await streams.getMessage(name, { last_by_subj: other }), null);
      await jetstream(writer).publish(other, "of after");
      const both = { CORE: await nats.connect("streams", "CORE"), STORE: await nats.connect("streams", "STORE") };
      await applyStreams(both, DECLARED);
      assert.equal((await streams.getMessage(name, { last_by_subj: other }))?.string(), "of after");
      assert.ok((await streams.info(name)).state.bytes <= BYTES / 10);
    });
  }
});
