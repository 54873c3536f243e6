/**
 * What must be done so that a server's streams are as declared. Pure: declared and actual settings in, steps out.
 * Nothing in a plan destroys a message but the oldest of a log that is longer than its share (`shrinks`): what would is refused, with what a
 * person can do about it.
 */

import type { StreamConfig } from "@nats-io/jetstream";
import type { DeclaredConfig, DeclaredStream, StreamSetting } from "./streams.ts";

/** One setting that is not as declared. */
type SettingDifference = { setting: string; actual: unknown; declared: unknown; why: string };

export type StreamStep = { stream: DeclaredStream } & (
  | { action: "create" }
  | { action: "same" }
  | { action: "update"; differences: SettingDifference[] }
  | { action: "refuse"; differences: SettingDifference[]; reason: string; remedy: string }
);

export type StreamPlan = StreamStep[];

/** Settings for whose sake a plan is refused, by what makes it so. */
export const REFUSALS = {
  /** nats-server changes them in no stream that there is. */
  fixed: ["storage", "retention"],
  /** nats-server lets them be switched on only. */
  sticky: ["deny_delete", "deny_purge", "allow_msg_ttl", "allow_msg_schedules"],
  /** A smaller one deletes messages at once. */
  bounds: ["max_age", "max_bytes", "max_msgs", "max_msgs_per_subject"],
  /** Settings that would change what a stream is, if another program had set them. */
  foreign: ["no_ack", "mirror", "sources", "subject_transform", "subject_delete_marker_ttl", "discard_new_per_subject"],
  /** And these for good. */
  foreignFixed: ["sealed", "allow_msg_counter"],
} as const satisfies Record<string, readonly (keyof StreamConfig)[]>;

/** `actual` = the stream's configuration on the server; null = there is none. */
export function planStream(stream: DeclaredStream, actual: Partial<StreamConfig> | null): StreamStep {
  if (actual === null) return { stream, action: "create" };
  const differences = compare(stream, actual);
  if (differences.length === 0) return { stream, action: "same" };
  const refusals = differences
    .map((difference) => refusalOf(difference, stream.shrinks))
    .filter((refusal) => refusal !== null);
  if (refusals.length === 0) return { stream, action: "update", differences };
  return { stream, action: "refuse", differences, ...together(refusals) };
}

function together(refusals: readonly PlanRefusal[]): PlanRefusal {
  const remedies = new Set(refusals.map(({ remedy }) => remedy));
  return {
    reason: refusals.map(({ reason }) => reason).join("; "),
    // Where that has to be, the others are of no use.
    remedy: remedies.has(REMAKE) ? REMAKE : [...remedies].join("; "),
  };
}

function compare(stream: DeclaredStream, actual: Partial<StreamConfig>): SettingDifference[] {
  const declared = Object.entries(stream.config) as [StreamSetting, DeclaredConfig[StreamSetting]][];
  const differences: SettingDifference[] = declared
    .map(([setting, value]) => ({
      setting,
      actual: normal(setting, actual[setting]),
      declared: normal(setting, value),
      why: stream.why[setting],
    }))
    .filter((difference) => !isEqual(difference.actual, difference.declared));
  for (const setting of [...REFUSALS.foreign, ...REFUSALS.foreignFixed]) {
    const value = actual[setting];
    if (value) differences.push({ setting, actual: value, declared: null, why: "not ours" });
  }
  return differences;
}

/** The server leaves out what is off; subjects have no order. */
function normal(setting: StreamSetting, value: unknown): unknown {
  if (setting === "subjects") return [...((value as string[] | undefined) ?? [])].sort();
  if (setting === "republish") {
    const republish = value as StreamConfig["republish"] | null;
    return republish
      ? { src: republish.src, dest: republish.dest, headers_only: republish.headers_only ?? false }
      : null;
  }
  if (value !== undefined) return value;
  return setting === "compression" ? "none" : typeof DEFAULTS[setting] === "number" ? DEFAULTS[setting] : false;
}

const DEFAULTS: Partial<Record<StreamSetting, number>> = {
  max_age: 0,
  max_bytes: -1,
  max_msgs: -1,
  max_msgs_per_subject: -1,
  max_msg_size: -1,
  max_consumers: -1,
  num_replicas: 1,
};

function isEqual(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

type PlanRefusal = { reason: string; remedy: string };

const REMAKE = "copy what is worth keeping, remove the stream by hand, and apply again";

/** null = the server can change it in place and no message is lost. */
function refusalOf({ setting, actual, declared }: SettingDifference, shrinks: readonly string[]): PlanRefusal | null {
  const among = (settings: readonly string[]) => settings.includes(setting);
  if (among(REFUSALS.fixed)) {
    const reason = `${setting} is ${show(setting, actual)} and cannot be changed to ${show(setting, declared)}`;
    return { reason, remedy: REMAKE };
  }
  if (among(REFUSALS.sticky) && actual === true) {
    return { reason: `${setting} is on, and nats-server does not let it be switched off`, remedy: REMAKE };
  }
  if (among(REFUSALS.bounds) && !shrinks.includes(setting) && bound(declared) < bound(actual)) {
    return {
      reason: `${setting} would shrink from ${show(setting, actual)} to ${show(setting, declared)}, which deletes messages at once`,
      remedy: `set it by hand if those messages may go, or declare at least ${show(setting, actual)}`,
    };
  }
  const foreign = `somebody has set ${setting}, which is not part of the declaration`;
  if (among(REFUSALS.foreign))
    return { reason: foreign, remedy: "find out who uses the stream, and undo that by hand" };
  if (among(REFUSALS.foreignFixed)) return { reason: `${foreign} and cannot be undone`, remedy: REMAKE };
  return null;
}

/** Limits of 0 and below mean "none". */
function bound(limit: unknown): number {
  return typeof limit === "number" && limit > 0 ? limit : Number.POSITIVE_INFINITY;
}

/** The plan as text: a line per stream, below it a line per difference. */
export function formatPlan(plan: StreamPlan): string {
  return plan.map(formatStep).join("\n");
}

const SYMBOL = { create: "+", update: "~", same: "=", refuse: "!" } as const;

function formatStep(step: StreamStep): string {
  const { account, name, purpose } = step.stream;
  const lines = [`${SYMBOL[step.action]} ${account} ${name}: ${step.action} (${purpose})`];
  if (step.action === "update" || step.action === "refuse") {
    lines.push(
      ...step.differences.map(
        ({ setting, actual, declared, why }) =>
          `    ${setting}: ${show(setting, actual)} -> ${show(setting, declared)}  # ${why}`,
      ),
    );
  }
  if (step.action === "refuse") lines.push(`    refused: ${step.reason}`, `    remedy: ${step.remedy}`);
  return lines.join("\n");
}

/** A value as a person writes it. */
function show(setting: string, value: unknown): string {
  if ((setting === "max_age" || setting === "duplicate_window") && typeof value === "number") {
    return value === 0 ? "unlimited" : `${value / 1_000_000_000}s`;
  }
  if (setting.startsWith("max_") && typeof value === "number" && value < 0) return "unlimited";
  if (value === null || value === undefined) return "none";
  return typeof value === "string" ? value : JSON.stringify(value);
}
