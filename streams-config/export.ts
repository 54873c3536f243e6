/** The declared streams in the formats of other tools: `nats stream add --config`, and NACK's `Stream` resources. Pure. */

import { stringify } from "yaml";
import type { DeclaredConfig, DeclaredStream } from "./streams.ts";

export const EXPORT_FORMATS = ["json", "nack"] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

export function exportStreams(streams: readonly DeclaredStream[], format: ExportFormat): string {
  if (format === "json") return `${JSON.stringify(streams.map(streamConfig), null, 2)}\n`;
  return streams.map((stream) => stringify(nackStream(stream), { lineWidth: 0 })).join("---\n");
}

/** As JetStream's API and `nats stream add --config` take it; each element is one file's content. */
export function streamConfig({ name, purpose, config }: DeclaredStream): object {
  const { republish, ...rest } = config;
  return { name, description: purpose, ...rest, ...(republish ? { republish } : {}) };
}

/** Settings that NACK's resource has; the others cannot be set there. */
const NACK_NAMES = {
  subjects: "subjects",
  retention: "retention",
  storage: "storage",
  num_replicas: "replicas",
  max_consumers: "maxConsumers",
  max_msgs: "maxMsgs",
  max_msgs_per_subject: "maxMsgsPerSubject",
  max_bytes: "maxBytes",
  max_age: "maxAge",
  max_msg_size: "maxMsgSize",
  discard: "discard",
  duplicate_window: "duplicateWindow",
  deny_delete: "denyDelete",
  deny_purge: "denyPurge",
  allow_direct: "allowDirect",
  allow_rollup_hdrs: "allowRollup",
  allow_atomic: "allowAtomicPublish",
  allow_msg_ttl: "allowMsgTtl",
  allow_msg_schedules: "allowMsgSchedules",
  compression: "compression",
  republish: "republish",
} as const satisfies Record<keyof DeclaredConfig, string>;

function nackStream({ account, name, purpose, config }: DeclaredStream): object {
  const settings = (Object.keys(NACK_NAMES) as (keyof DeclaredConfig)[]).flatMap((setting) => {
    const value = nackValue(setting, config);
    return value === undefined ? [] : [[NACK_NAMES[setting], value] as const];
  });
  return {
    apiVersion: "jetstream.nats.io/v1beta2",
    kind: "Stream",
    metadata: { name: name.toLowerCase(), labels: { "app.kubernetes.io/part-of": "arvados-nats" } },
    spec: {
      name,
      description: purpose,
      // An `Account` resource of this name, with the streams service's nkey.
      account: account.toLowerCase(),
      // Removing the resource must not remove the data.
      preventDelete: true,
      ...Object.fromEntries(settings),
    },
  };
}

function nackValue(setting: keyof DeclaredConfig, config: DeclaredConfig): unknown {
  switch (setting) {
    case "max_age":
      return config.max_age === 0 ? undefined : duration(config.max_age);
    case "duplicate_window":
      return duration(config.duplicate_window);
    case "republish":
      return config.republish ? { source: config.republish.src, destination: config.republish.dest } : undefined;
    case "compression":
      return config.compression === "none" ? undefined : config.compression;
    default:
      return config[setting];
  }
}

/** Nanoseconds as a Go duration, in milliseconds or hours: none of ours has another fraction. */
function duration(nanoseconds: number): string {
  const hours = nanoseconds / 3_600e9;
  return Number.isInteger(hours) ? `${hours}h` : `${nanoseconds / 1e6}ms`;
}
