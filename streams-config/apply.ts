/** Compares and creates streams over connections of the `streams` service, one for each account that holds streams. */

import {
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  type StreamConfig,
  type StreamInfo,
} from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { type Fault, fault, reasonOf } from "../core/errors.ts";
import type { StreamAccount } from "./accounts.ts";
import { formatPlan, planStream, type StreamPlan, type StreamStep } from "./stream-plan.ts";
import type { DeclaredStream } from "./streams.ts";

/** Connections as service `streams`. */
export type StreamConnections = Record<StreamAccount, NatsConnection>;

/** Codes of JetStream's API. */
const STREAM_NOT_FOUND = 10059;
const NO_LEADER = 10008;
const NO_PEERS = 10005;
const NOT_CLUSTERED = 10074;
const SUBJECTS_OVERLAP = 10065;

/** Remedies for errors that only nats-server can find. */
const TOO_FEW_SERVERS =
  "as many nats-servers as replicas are needed, in one cluster; `--profile single` is for one server";
const REMEDIES: Readonly<Record<number, string>> = {
  [NO_PEERS]: TOO_FEW_SERVERS,
  [NOT_CLUSTERED]: TOO_FEW_SERVERS,
  [SUBJECTS_OVERLAP]:
    "find the stream in the same account that takes these subjects (`nats stream ls`), and remove it or them by hand",
};

/** Reads from the server; changes nothing. */
export async function planStreams(
  connections: StreamConnections,
  declared: readonly DeclaredStream[],
): Promise<StreamPlan> {
  const managers = await managersOf(connections);
  return Promise.all(
    declared.map(async (stream) => {
      const info = await answered(stream.account, streamInfo(managers[stream.account], stream.name));
      return planStream(stream, info?.config ?? null);
    }),
  );
}

/** Creates and updates as planned. A plan that refuses anything is not begun: throws `stream.drift` for the first refusal. */
export async function applyPlan(connections: StreamConnections, plan: StreamPlan): Promise<void> {
  const refused = plan.map(refusalFault).find((refusal) => refusal !== null);
  if (refused) throw refused;
  const managers = await managersOf(connections);
  for (const step of plan) await perform(managers[step.stream.account], step);
}

/** Plans and applies, as a start does. */
export async function applyStreams(
  connections: StreamConnections,
  declared: readonly DeclaredStream[],
): Promise<StreamPlan> {
  const plan = await planStreams(connections, declared);
  await applyPlan(connections, plan);
  return plan;
}

export const STREAM_VERBS = ["plan", "apply", "check"] as const;
export type StreamVerb = (typeof STREAM_VERBS)[number];

/** Plan, output and exit code of `streams plan|apply|check`. */
type StreamsResult = { plan: StreamPlan; text: string; exitCode: number };

/** `plan` and `apply` end with 1 if something is refused (and then nothing is changed), `check` if anything is not as declared. */
export async function runStreams(
  verb: StreamVerb,
  connections: StreamConnections,
  declared: readonly DeclaredStream[],
): Promise<StreamsResult> {
  const plan = await planStreams(connections, declared);
  const refused = plan.filter((step) => step.action === "refuse").length;
  const different = plan.filter((step) => step.action !== "same").length;
  const text = formatPlan(plan);
  if (verb === "check") return { plan, text, exitCode: Number(different > 0) };
  if (verb === "plan") return { plan, text, exitCode: Number(refused > 0) };
  if (refused > 0) return { plan, text: `${text}\nnothing was changed: ${refused} refused`, exitCode: 1 };
  await applyPlan(connections, plan);
  return { plan, text: `${text}\n${different === 0 ? "nothing to do" : `${different} applied`}`, exitCode: 0 };
}

/** The refusal as a fault, or null. */
function refusalFault(step: StreamStep): Fault | null {
  if (step.action !== "refuse") return null;
  return fault("stream.drift", { stream: step.stream.name, reason: step.reason, remedy: step.remedy });
}

async function managersOf(connections: StreamConnections): Promise<Record<StreamAccount, JetStreamManager>> {
  const managerOf = (account: StreamAccount) => answered(account, jetstreamManager(connections[account]));
  const [CORE, STORE] = await Promise.all([managerOf("CORE"), managerOf("STORE")]);
  return { CORE, STORE };
}

/** null = there is no such stream. */
export async function streamInfo(manager: JetStreamManager, name: string): Promise<StreamInfo | null> {
  try {
    return await manager.streams.info(name);
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return null;
    throw error;
  }
}

async function perform(manager: JetStreamManager, step: StreamStep): Promise<void> {
  const { account, name, config, purpose } = step.stream;
  // The client merges this with what the server has, so "none" must be set explicitly.
  const wanted = { ...config, description: purpose, republish: config.republish ?? undefined } as Partial<StreamConfig>;
  try {
    if (step.action === "create") await manager.streams.add({ ...wanted, name });
    if (step.action === "update") await manager.streams.update(name, wanted);
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || error.code === NO_LEADER)
      return await answered(account, Promise.reject(error));
    const remedy =
      REMEDIES[error.code] ?? "see nats-server's log; check that its JetStream limits leave room for the stream";
    throw fault("stream.drift", { stream: name, reason: reasonOf(error), remedy }, { cause: error });
  }
}

/** @throws jetstream.unavailable: without a leader, for instance */
async function answered<T>(account: StreamAccount, asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    throw fault("jetstream.unavailable", { account, reason: reasonOf(error) }, { cause: error });
  }
}
