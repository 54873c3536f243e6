import assert from "node:assert/strict";
import { LOG_FILES } from "../../core/logs/log-files.ts";
import { compileSessionRights } from "../../core/session/session-permissions.ts";
import { SYSLOG_LEVELS, subjectsOf } from "../../core/subjects.ts";
import { STREAM_NAMES, STREAMS } from "../../streams-config/accounts.ts";
import {
  type DeclaredStream,
  declaredStreams,
  LOG_MESSAGE_BYTES,
  STREAM_PROFILES,
  type StreamProfile,
} from "../../streams-config/streams.ts";

const streams = declaredStreams({ clusterId: "zzzzz" });
const named = (name: string): DeclaredStream => {
  const stream = streams.find((candidate) => candidate.name === name);
  assert.ok(stream, name);
  return stream;
};

describe("declared streams", () => {
  it("are all there, each in its account", () => {
    assert.deepEqual(streams.map(({ name }) => name).sort(), [...STREAM_NAMES].sort());
    for (const { name, account } of streams) assert.equal(account, STREAMS[name]);
  });

  it("give a reason for every setting", () => {
    for (const { name, config, why } of streams) {
      assert.deepEqual(Object.keys(why).sort(), Object.keys(config).sort());
      for (const [setting, reason] of Object.entries(why)) assert.match(reason, /\w+ \w+ \w+/, `${name} ${setting}`);
    }
  });

  it("declare how many consumers each may have: the server's own default would be 1,000", () => {
    for (const { config } of streams) assert.ok(config.max_consumers > 0);
  });

  it("give no power to a publisher's headers where users' containers publish", () => {
    const { config } = named("LOGS");
    const { allow_rollup_hdrs, allow_msg_ttl, allow_msg_schedules, allow_atomic, republish } = config;
    const off = { allow_rollup_hdrs, allow_msg_ttl, allow_msg_schedules, allow_atomic, republish };
    assert.deepEqual(off, {
      allow_rollup_hdrs: false,
      allow_msg_ttl: false,
      allow_msg_schedules: false,
      allow_atomic: false,
      republish: null,
    });
    assert.ok(config.max_msgs_per_subject > 0 && config.max_msg_size > 0);
  });

  it("republish records and not where things moved from", () => {
    const { config } = named("RECORDS");
    assert.deepEqual(config.republish, { src: "arvados.zzzzz.rec.>", dest: "arvados.zzzzz.live.>" });
    assert.deepEqual(config.subjects, ["arvados.zzzzz.rec.>", "arvados.zzzzz.moved.>"]);
    for (const { name, config: other } of streams) if (name !== "RECORDS") assert.equal(other.republish, null);
  });

  it("never forget a row of the graph", () => {
    const { config } = named("GRAPH");
    assert.equal(config.discard, "new");
    assert.equal(config.max_age, 0);
    assert.equal(config.max_bytes, -1);
  });

  it("have the replicas and bytes of the profile", () => {
    const cluster = declaredStreams({ clusterId: "zzzzz", profile: "cluster" });
    for (const { config } of cluster) assert.equal(config.num_replicas, 3);
    assert.equal(
      cluster.find(({ name }) => name === "RECORDS")?.config.max_bytes,
      STREAM_PROFILES.cluster.recordsBytes,
    );
  });

  describe("bound each writer's share:", () => {
    const GIB = 1024 ** 3;
    const profiles: StreamProfile[] = [
      ...Object.values(STREAM_PROFILES),
      ...[1 / 16, 1 / 4, 1, 10, 1_000].map((gib) => ({
        ...STREAM_PROFILES.single,
        logsBytes: gib * GIB,
        syslogBytes: gib * GIB,
      })),
    ];
    /** Bytes at most on so many subjects, as declared. */
    const held = ({ config }: DeclaredStream, subjects: number) => {
      assert.ok(config.max_msgs_per_subject > 0 && config.max_msg_size > 0, "without a bound");
      return subjects * config.max_msgs_per_subject * config.max_msg_size;
    };
    for (const profile of profiles) {
      const of = (name: string) =>
        declaredStreams({ clusterId: "zzzzz", profile }).find((stream) => stream.name === name) as DeclaredStream;

      it(`a container with all its files, of ${profile.logsBytes / GIB} GiB`, () => {
        const logs = of("LOGS");
        const { publish } = compileSessionRights(subjectsOf("zzzzz"), [], ["zzzzz-dz642-000000000000000"]);
        assert.equal(publish.length, LOG_FILES.length);
        assert.ok(held(logs, publish.length) <= logs.config.max_bytes / 10);
        assert.ok(held(logs, publish.length) >= logs.config.max_bytes / 12, "and no less than it could");
      });

      it(`a service on one host, of ${profile.syslogBytes / GIB} GiB`, () => {
        const syslog = of("SYSLOG");
        assert.ok(held(syslog, SYSLOG_LEVELS.length) <= syslog.config.max_bytes / 10);
      });
    }

    it("a stream too small to be shared is none, for 0 messages would be without a bound", () => {
      const profile = { ...STREAM_PROFILES.single, logsBytes: 1024 ** 2 };
      assert.throws(() => declaredStreams({ clusterId: "zzzzz", profile }), RangeError);
    });

    it("the log follower's messages fit, with their headers", () => {
      assert.ok(LOG_MESSAGE_BYTES <= named("LOGS").config.max_msg_size);
    });
  });
});
