/** The callout's permission replica: follows GRAPH, counts and logs what cannot be applied. main.ts starts it. */
import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import type { Subjects } from "../core/subjects.ts";
import { PermissionReplica, type PermissionReplicaOptions } from "../replica/permission-replica.ts";
import { type ReplicaHealth, replicaHealth } from "../replica/replica-health.ts";
import { replicaGraphOptions, tokenOptions } from "../replica/replica-settings.ts";
import type { ServiceContext } from "../runtime/service.ts";

export type ReplicaParts = {
  core: NatsConnection;
  js: JetStreamClient;
  jsm: JetStreamManager;
  subjects: Subjects;
} & Required<Pick<PermissionReplicaOptions, "onApplied" | "onLoaded">>;

export function createReplica(
  { config, log, metrics }: ServiceContext,
  { core, js, jsm, subjects, onApplied, onLoaded }: ReplicaParts,
): { replica: PermissionReplica; health: ReplicaHealth } {
  const health = replicaHealth(metrics, log);
  const replica = new PermissionReplica({
    ...health,
    nc: core,
    js,
    jsm,
    subjects,
    graph: replicaGraphOptions(config),
    tokens: tokenOptions(config),
    roles: config.roles,
    onApplied,
    onLoaded,
  });
  return { replica, health };
}
