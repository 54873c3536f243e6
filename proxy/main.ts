/**
 * The proxy service: the edge for browsers, discovery and console page, and the gateway's verbs.
 *
 * Folders (a README.md in each): edge/, gateway/, console/ import nothing from each other; the files beside main.ts join them.
 */
import type { NatsConnection } from "@nats-io/nats-core";
import { formatRevision } from "../core/revision.ts";
import { subjectsOf } from "../core/subjects.ts";
import type { PermissionReplica } from "../replica/permission-replica.ts";
import { failureSays } from "../replica/replica-health.ts";
import { deferred } from "../runtime/deferred.ts";
import { ConnectionWatch } from "../runtime/nats/connection-watch.ts";
import { connectService } from "../runtime/nats/service-connection.ts";
import type { Condition, Service, ServiceContext } from "../runtime/service.ts";
import { createTails, startGateway } from "./gateway/gateway-service.ts";
import { type ProxyExtras, startPublicListener } from "./public-listener.ts";
import { startReplica } from "./replica.ts";

export type { ProxyExtras };

export type ProxyService = Service & { url: string };

export async function runProxy(context: ServiceContext, extras: ProxyExtras = {}): Promise<ProxyService> {
  const subjects = subjectsOf(context.config.clusterId);
  const accounts = await connectAccounts(context);
  const connections = new ConnectionWatch();
  const { core, store, app } = accounts;
  for (const [account, nc] of Object.entries({ CORE: core, STORE: store, APP: app })) connections.add(account, nc);

  const tails = createTails(context, store, subjects);
  const replica = await startReplica(context, core, subjects, (lookupKeys) => tails.recheck(lookupKeys));
  const gateway = await startGateway(context, { ...accounts, subjects, tails, replica });
  const { url, edge, close } = await startPublicListener(context, { app, subjects, extras });

  const done = deferred<void>();
  return {
    url,
    readiness: () => ({
      graph: graphCondition(replica, context.config.stalenessTail),
      connections: connections.readiness(),
      edge: { ok: true, says: `${edge.sockets()} sockets, ${tails.size} tails` },
    }),
    async drain() {
      await gateway.drain();
      close();
      done.resolve();
    },
    done: done.promise,
  };
}

type Accounts = { core: NatsConnection; store: NatsConnection; app: NatsConnection };

async function connectAccounts({ config, log, scope }: ServiceContext): Promise<Accounts> {
  const connect = (account: "CORE" | "STORE" | "APP") =>
    connectService({ config, service: "gateway", account, log, scope });
  const [core, store, app] = await Promise.all([connect("CORE"), connect("STORE"), connect("APP")]);
  return { core, store, app };
}

/** @param limit milliseconds of graph age beyond which tails end */
function graphCondition(replica: PermissionReplica, limit: number): Condition {
  if (replica.age(Date.now()) <= limit) {
    return { ok: true, says: `following at revision ${formatRevision(replica.revision)}` };
  }
  const why = replica.failure ? `${failureSays(replica.failure)}; ` : "";
  return { ok: false, says: `stale: ${why}tails are ended` };
}
