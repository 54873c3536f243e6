/** The gateway's permission replica: follows GRAPH, and BARRIER for the tokens behind session tokens. main.ts starts it. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import type { Subjects } from "../core/subjects.ts";
import { PermissionReplica } from "../replica/permission-replica.ts";
import { replicaHealth } from "../replica/replica-health.ts";
import { replicaGraphOptions, tokenOptions } from "../replica/replica-settings.ts";
import type { ServiceContext } from "../runtime/service.ts";

/**
 * Resolves once a whole commit is in memory.
 * @param onChanged lookup keys of the users and tokens whose rights may have changed; null = anybody's
 */
export async function startReplica(
  { config, log, metrics, scope }: ServiceContext,
  core: NatsConnection,
  subjects: Subjects,
  onChanged: (lookupKeys: ReadonlySet<string> | null) => void,
): Promise<PermissionReplica> {
  const health = replicaHealth(metrics, log);
  const replica = new PermissionReplica({
    ...health,
    nc: core,
    js: jetstream(core),
    jsm: await jetstreamManager(core),
    subjects,
    graph: replicaGraphOptions(config),
    tokens: tokenOptions(config),
    roles: config.roles,
    // A large role that gains or loses an object shows in no user's grants: then all tails are checked.
    onApplied: ({ effect, changedKeys }) =>
      onChanged(effect.rerouted ? null : new Set([...effect.shrank, ...changedKeys])),
    onLoaded: () => onChanged(null),
    aliases: {
      onTrouble: (reason) => log.warn({ reason }, "reading aliases from BARRIER was interrupted; following again"),
      onFailure: health.onBarrierFailure,
    },
  });
  scope.defer("graph follower", () => replica.stop());
  metrics.gauge("graph_age_seconds", "Age of the permission graph", [], () => replica.age(Date.now()) / 1000);
  await replica.start();
  return replica;
}
