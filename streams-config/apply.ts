/** Compares and makes streams over connections of the `streams` service, one for each account that holds streams. */

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
import { formatPlan, type Plan, planStream, type Step } from "./plan.ts";
import type { DeclaredStream } from "./streams.ts";

export { formatPlan } from "./plan.ts";

/** Connections as service `streams`. */
export type StreamConnections = Record<StreamAccount, NatsConnection>;

/** What a command says and how it ends. */
export type CommandResult = { text: string; exitCode: number };

const STREAM_NOT_FOUND = 10059;

/** Looks at the server; changes nothing. */
export async function planStreams(connections: StreamConnections, declared: readonly DeclaredStream[]): Promise<Plan> {
  const managers = await managersOf(connections);
  return Promise.all(
    declared.map(async (stream) => {
      const info = await streamInfo(managers[stream.account], stream.name);
      return planStream(stream, info?.config ?? null);
    }),
  );
}

/** Creates and updates as planned. A plan that refuses anything is not begun: throws `stream.drift` for the first refusal. */
export async function applyPlan(connections: StreamConnections, plan: Plan): Promise<void> {
  const refused = plan.map(refusalFault).find((refusal) => refusal !== null);
  if (refused) throw refused;
  const managers = await managersOf(connections);
  for (const step of plan) await perform(managers[step.stream.account], step);
}

/** Plans and applies: what a start does. */
export async function applyStreams(connections: StreamConnections, declared: readonly DeclaredStream[]): Promise<Plan> {
  const plan = await planStreams(connections, declared);
  await applyPlan(connections, plan);
  return plan;
}

/** `streams plan`: exit code 1 where something could not be applied. */
export async function streamsPlan(
  connections: StreamConnections,
  declared: readonly DeclaredStream[],
): Promise<CommandResult> {
  const plan = await planStreams(connections, declared);
  return { text: formatPlan(plan), exitCode: plan.some((step) => step.action === "refuse") ? 1 : 0 };
}

/** `streams apply`: says what it did, or why it began nothing. */
export async function streamsApply(
  connections: StreamConnections,
  declared: readonly DeclaredStream[],
): Promise<CommandResult> {
  const plan = await planStreams(connections, declared);
  const refused = plan.filter((step) => step.action === "refuse").length;
  if (refused > 0) {
    return { text: `${formatPlan(plan)}\nnothing was changed: ${refused} refused`, exitCode: 1 };
  }
  await applyPlan(connections, plan);
  const changed = plan.filter((step) => step.action !== "same").length;
  return { text: `${formatPlan(plan)}\n${changed === 0 ? "nothing to do" : `${changed} applied`}`, exitCode: 0 };
}

/** `streams check`: exit code 1 where anything is not as declared. */
export async function streamsCheck(
  connections: StreamConnections,
  declared: readonly DeclaredStream[],
): Promise<CommandResult> {
  const plan = await planStreams(connections, declared);
  return { text: formatPlan(plan), exitCode: plan.every((step) => step.action === "same") ? 0 : 1 };
}

/** The refusal as a fault, or null. */
export function refusalFault(step: Step): Fault | null {
  if (step.action !== "refuse") return null;
  return fault("stream.drift", { stream: step.stream.name, reason: step.reason, remedy: step.remedy });
}

async function managersOf(connections: StreamConnections): Promise<Record<StreamAccount, JetStreamManager>> {
  const [CORE, STORE] = await Promise.all([jetstreamManager(connections.CORE), jetstreamManager(connections.STORE)]);
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

async function perform(manager: JetStreamManager, step: Step): Promise<void> {
  const { name, config, purpose } = step.stream;
  // The client lays this over what the server has, so "none" must stand there by name.
  const wanted = { ...config, description: purpose, republish: config.republish ?? undefined } as Partial<StreamConfig>;
  try {
    if (step.action === "create") await manager.streams.add({ ...wanted, name });
    if (step.action === "update") await manager.streams.update(name, wanted);
  } catch (error) {
    const remedy = "see nats-server's log; check that its JetStream limits leave room for the stream";
    throw fault("stream.drift", { stream: name, reason: reasonOf(error), remedy }, { cause: error });
  }
}
