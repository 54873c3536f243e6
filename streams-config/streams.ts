/** The streams, declared as data: every setting with the reason for its value. `stream-plan.ts` compares them with what a server has. */

import type { StreamConfig } from "@nats-io/jetstream";
import { LOG_FILES, LOG_MESSAGE_BYTES } from "../core/logs/log-files.ts";
import { SYSLOG_LEVELS, subjectsOf } from "../core/subjects.ts";
import { STREAMS, type StreamAccount, type StreamName } from "./accounts.ts";

/** The settings that we declare; any other one is left as nats-server sets it, except the foreign ones of `REFUSALS` (`stream-plan.ts`). */
export type DeclaredConfig = Pick<
  StreamConfig,
  | "subjects"
  | "retention"
  | "storage"
  | "num_replicas"
  | "max_consumers"
  | "max_msgs"
  | "max_msgs_per_subject"
  | "max_bytes"
  | "max_age"
  | "max_msg_size"
  | "discard"
  | "duplicate_window"
  | "deny_delete"
  | "deny_purge"
  | "allow_direct"
  | "allow_rollup_hdrs"
  | "compression"
> &
  Required<Pick<StreamConfig, "allow_atomic" | "allow_msg_ttl" | "allow_msg_schedules">> & {
    republish: StreamConfig["republish"] | null;
  };

export type StreamSetting = keyof DeclaredConfig;

export type DeclaredStream = {
  account: StreamAccount;
  name: StreamName;
  purpose: string;
  config: DeclaredConfig;
  /** A sentence for each setting. */
  why: Record<StreamSetting, string>;
  /** Bounds that `apply` also lowers, although old messages are deleted then: they are stored elsewhere too, or may be deleted. */
  shrinks: readonly StreamSetting[];
};

/** A lower bound per subject deletes old lines of the largest writers only: Arvados' API still has the logs, and services' lines are transient. */
const SHRINKING: Partial<Record<StreamName, readonly StreamSetting[]>> = {
  LOGS: ["max_msgs_per_subject"],
  SYSLOG: ["max_msgs_per_subject"],
};

/** What differs from one installation to the next. Bytes are reserved by nats-server and must fit its `max_file_store`. */
export type StreamProfile = {
  replicas: number;
  recordsBytes: number;
  logsBytes: number;
  graphLogBytes: number;
  syslogBytes: number;
  maxMsgSize: number;
};

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

export const STREAM_PROFILES = {
  /** One server, for the demo, tests and small clusters. */
  single: {
    replicas: 1,
    recordsBytes: 4 * GIB,
    logsBytes: 4 * GIB,
    graphLogBytes: GIB / 4,
    syslogBytes: GIB / 4,
    maxMsgSize: MIB,
  },
  /** Three servers or more. */
  cluster: {
    replicas: 3,
    recordsBytes: 64 * GIB,
    logsBytes: 128 * GIB,
    graphLogBytes: 4 * GIB,
    syslogBytes: 4 * GIB,
    maxMsgSize: MIB,
  },
} as const satisfies Record<string, StreamProfile>;

type StreamOptions = { clusterId: string; profile?: keyof typeof STREAM_PROFILES | StreamProfile };

export { LOG_MESSAGE_BYTES };

/** Largest line of a service, headers included. */
const SYSLOG_MESSAGE_BYTES = 8 * 1024;

/** The largest share of a stream: a container's of LOGS, a service's on one host of SYSLOG. */
const LARGEST_SHARE = 1 / 10;
/** Bytes of a stored message besides headers and body: subject, lengths, sequence, time and checksum. */
const STORED_BYTES = 256;

/**
 * How many messages a subject may hold, so that all of `subjects` together, each message as large as it may be, stay within a share.
 * nats-server counts messages by subject, not bytes. @throws RangeError where there is no room for one: 0 would mean "without a bound"
 */
function messagesPerSubject(streamBytes: number, subjects: number, messageBytes: number): number {
  const count = Math.floor((streamBytes * LARGEST_SHARE) / (subjects * (messageBytes + STORED_BYTES)));
  if (count < 1) throw new RangeError(`a stream of ${streamBytes} bytes is too small to be shared`);
  return count;
}

type Declaration = { [S in StreamSetting]: readonly [value: DeclaredConfig[S], why: string] };

/** All streams of one cluster, in the order in which they are created. */
export function declaredStreams({ clusterId, profile = "single" }: StreamOptions): DeclaredStream[] {
  const sizes = typeof profile === "string" ? STREAM_PROFILES[profile] : profile;
  const { graphAll, graphLogAll, barrierAll, recordsAll, movedAll, liveAll, logAll, queueAll, sysAll } =
    subjectsOf(clusterId);
  const common = commonSettings(sizes);
  return [
    declare("GRAPH", "the permission graph: last value of every row, in whole commits", {
      ...common,
      subjects: [[graphAll], "one subject per row, and one that ends each commit"],
      max_msgs_per_subject: [
        1,
        "a row's last value is its state; replicas load the last value per subject and follow from there",
      ],
      discard: [
        "new",
        "a full graph must refuse the next row, never forget an old one: a forgotten row is a wrong right",
      ],
      deny_purge: [true, "a purged row leaves no trace for followers; only a tombstone does"],
      allow_atomic: [true, "replicas must never see half a commit: it can grant what Arvados never granted"],
      allow_direct: [true, "loading many rows is spread over replicas; the position check finds an answer that lags"],
      allow_msg_ttl: [true, "tombstones may end by themselves; the bridge alone publishes here"],
      max_consumers: [1_000, "one follower per replica, and those that a crash left behind for some minutes"],
    }),
    declare(
      "GRAPHLOG",
      "what each change of the graph replaced, so that a repeated commit is routed by the graph as of that commit",
      {
        ...common,
        subjects: [
          [graphLogAll],
          "replaced values by commit, and how far everything is stored; the bridge alone publishes here",
        ],
        max_age: [
          days(7),
          "a commit may be repeated until it is confirmed: after sync_interval and its margin, or as long as a barrier holds or no bridge runs; after more than a week of that a new epoch says that routes are of a later graph",
        ],
        max_bytes: [
          sizes.graphLogBytes,
          "beyond it the oldest entries go early: at worst the next start begins a new epoch",
        ],
        allow_direct: [false, "a new leader must read what the stream's leader has, not a copy that lags"],
        max_consumers: [100, "one reader, the bridge that starts, and those that a crash left behind for some seconds"],
      },
    ),
    declare("BARRIER", "leases, marks and settlements: one order that decides when records may flow", {
      ...common,
      subjects: [[barrierAll], "all steps of the barrier are in one stream, because their order decides"],
      max_age: [hours(1), "a barrier is over in seconds; an hour is for diagnosis"],
      deny_purge: [true, "a mark is never withdrawn"],
      allow_direct: [false, "a direct read may come from a replica that lags; a lease must be read from the leader"],
      max_consumers: [1_000, "one follower per replica, and those that a crash left behind for some minutes"],
    }),
    declare("RECORDS", "every record change, whole commits in commit order", {
      ...common,
      subjects: [
        [recordsAll, movedAll],
        "events by path, and where an object moved from, so that history by uuid can follow it",
      ],
      max_age: [days(14), "two weeks of history"],
      max_bytes: [sizes.recordsBytes, "beyond it the oldest events go early, and the disk does not fill"],
      deny_purge: [true, "history is deleted by age only"],
      allow_atomic: [true, "a commit appears whole or not at all"],
      republish: [
        { src: recordsAll, dest: liveAll },
        "users receive what was stored, with its sequence, on subjects their grants name; `moved` lies outside the source and stays private",
      ],
      max_consumers: [10_000, "the gateway creates one for each running history request"],
    }),
    declare("LOGS", "containers' logs, written by the containers themselves", {
      ...common,
      subjects: [[logAll], "one subject per container and file"],
      max_age: [days(14), "two weeks; a finished container's log is in Keep by then"],
      max_bytes: [sizes.logsBytes, "the disk does not fill"],
      max_msgs_per_subject: [
        messagesPerSubject(sizes.logsBytes, LOG_FILES.length, LOG_MESSAGE_BYTES),
        "all files of a container together hold at most a tenth of the stream: a container that logs without end pushes out its own old lines, which Arvados' API still has, and not those of others",
      ],
      max_msg_size: [LOG_MESSAGE_BYTES, "small, so that the bound per subject leaves room for many small messages"],
      compression: ["s2", "logs are text and shrink to a fraction"],
      deny_purge: [false, "an administrator may purge one container's log when it must not be kept"],
      max_consumers: [10_000, "the gateway creates one for each open tail"],
    }),
    declare("QUEUE", "containers waiting to be run: the last state of each", {
      ...common,
      subjects: [[queueAll], "one subject per container"],
      max_msgs_per_subject: [1, "an entry's last state is the state"],
      deny_purge: [false, "an administrator may delete an entry that will never be finished"],
      allow_direct: [true, "the gateway reads all current entries at once"],
      allow_msg_ttl: [true, "the last state of a finished container ends by itself; the bridge alone publishes here"],
      max_consumers: [1_000, "one for each running request of a dispatcher"],
    }),
    declare("SYSLOG", "log lines of services, for administrators and auditors", {
      ...common,
      subjects: [[sysAll], "`sys.<service>.<host>.<level>`: auditors follow the level or the service they care for"],
      max_age: [days(14), "as long as the records and logs that a line may explain"],
      max_bytes: [sizes.syslogBytes, "a service in a loop of errors does not fill the disk"],
      max_msgs_per_subject: [
        messagesPerSubject(sizes.syslogBytes, SYSLOG_LEVELS.length, SYSLOG_MESSAGE_BYTES),
        "a service on one host holds, at all levels together, at most a tenth of the stream: one that logs without end pushes out its own lines, and not those of others",
      ],
      max_msg_size: [SYSLOG_MESSAGE_BYTES, "a line, not a file"],
      compression: ["s2", "text shrinks to a fraction"],
      deny_purge: [false, "an administrator may purge lines that must not be kept"],
      max_consumers: [100, "a few readers"],
    }),
  ];
}

/** The settings of a stream unless its declaration has others. */
function commonSettings(sizes: StreamProfile): Omit<Declaration, "subjects"> {
  return {
    retention: ["limits", "messages are deleted by age and size, not after they were read"],
    storage: ["file", "must outlive a restart of the server"],
    num_replicas: [sizes.replicas, "as many as the installation has servers for"],
    max_consumers: [1_000, "explicit: since 2.15 an unlimited stream silently gets 1,000"],
    max_msgs: [-1, "bounded by bytes and age instead"],
    max_msgs_per_subject: [-1, "all messages of a subject are history"],
    max_bytes: [-1, "as large as its rows"],
    max_age: [0, "state does not age"],
    max_msg_size: [sizes.maxMsgSize, "the max_payload of nats-server"],
    discard: ["old", "the newest message is worth more than the oldest"],
    duplicate_window: [
      100_000_000,
      "the smallest possible: message ids are shared by all subjects of a stream, so they are not used, and one user's id must not drop another's message",
    ],
    deny_delete: [true, "no message is removed from the middle: readers prove completeness by sequence"],
    deny_purge: [true, "the stream is never purged"],
    allow_direct: [true, "reads are spread over replicas"],
    allow_rollup_hdrs: [false, "a header could delete every other message"],
    allow_atomic: [false, "no batches: every message is independent"],
    allow_msg_ttl: [false, "a publisher cannot make its message expire"],
    allow_msg_schedules: [false, "a header could write to any subject of the stream"],
    compression: ["none", "small messages; time counts more than space"],
    republish: [null, "read through the gateway or a service only"],
  };
}

function declare(name: StreamName, purpose: string, settings: Declaration): DeclaredStream {
  const entries = Object.entries(settings) as [StreamSetting, readonly [unknown, string]][];
  return {
    account: STREAMS[name],
    name,
    purpose,
    config: Object.fromEntries(entries.map(([setting, [value]]) => [setting, value])) as DeclaredConfig,
    why: Object.fromEntries(entries.map(([setting, [, why]]) => [setting, why])) as Record<StreamSetting, string>,
    shrinks: SHRINKING[name] ?? [],
  };
}

/** Nanoseconds, as JetStream counts. */
function hours(count: number): number {
  return count * 3_600 * 1_000_000_000;
}

function days(count: number): number {
  return hours(24 * count);
}
