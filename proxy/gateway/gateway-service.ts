/** The gateway put together: its tails, its limits and its verbs, on the accounts of the proxy. main.ts starts it. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import type { Subjects } from "../../core/subjects.ts";
import { wellKnown } from "../../core/uuid.ts";
import type { SessionReport } from "../../core/wire/wire.ts";
import type { PermissionReplica } from "../../replica/permission-replica.ts";
import type { Config } from "../../runtime/config/config.ts";
import type { ServiceContext } from "../../runtime/service.ts";
import { createAccess } from "./access.ts";
import { Gateway } from "./gateway.ts";
import { RequestLimits } from "./request-limits.ts";
import { ServedTails } from "./served-tails.ts";
import { TailDemand } from "./tail-demand.ts";

export type GatewayServiceParts = {
  core: NatsConnection;
  store: NatsConnection;
  app: NatsConnection;
  subjects: Subjects;
  tails: ServedTails;
  replica: PermissionReplica;
};

/** How often tails are checked for silent clients and a stale graph. */
const SWEEP_MS = 1_000;

export function createTails(
  { config, log, metrics, scope }: ServiceContext,
  store: NatsConnection,
  subjects: Subjects,
): ServedTails {
  const limits = { perUser: config.tailMax, total: config.tailTotal, isAnonymous: anonymousTest(config) };
  const demand = new TailDemand(store, subjects);
  const tails = new ServedTails(limits, log, Date.now, (subject) => demand.publish([subject]));
  demand.repeat(() => tails.subjects());
  scope.defer("tail demand", () => demand.stop());
  metrics.gauge("tails", "Logs being followed", [], () => tails.size);
  return tails;
}

export async function startGateway(context: ServiceContext, parts: GatewayServiceParts): Promise<Gateway> {
  const { config, log, metrics, scope } = context;
  const { core, store, app, subjects, tails, replica } = parts;
  const answers = metrics.counter("verbs_total", "Gateway requests by verb and, for refusals, reason", [
    "verb",
    "code",
  ]);
  const dropped = metrics.counter(
    "requests_dropped_total",
    "Requests above the limit of a session or user, dropped without an answer",
  );
  const floods = metrics.counter("floods_total", "Sessions reported to authcallout because they flood the gateway");
  const gateway = new Gateway({
    app,
    js: jetstream(store),
    jsm: await jetstreamManager(store),
    subjects,
    access: createAccess(replica, subjects, config.stalenessTail, Date.now, config.grantsMax),
    tails,
    limits: new RequestLimits(config.requestsPerSecond, anonymousTest(config)),
    log,
    now: Date.now,
    onAnswer: (verb, code) => answers.inc({ verb, code }),
    onDrop: () => dropped.inc(),
    onFlood(key, user) {
      floods.inc();
      const report: SessionReport = { user, token: key.sessionToken, sid: key.sid };
      if (!core.isClosed()) core.publish(subjects.sessionFlood, JSON.stringify(report));
    },
  });
  core.subscribe(subjects.sessionEnded, {
    callback(error, message) {
      if (error) return;
      const { token, sid } = message.json<SessionReport>();
      tails.endSession({ sessionToken: token, sid });
    },
  });
  gateway.start();
  scope.defer("tails", () => tails.endAll("draining"));
  const sweep = setInterval(() => {
    tails.endSilent();
    if (replica.age(Date.now()) > config.stalenessTail) tails.recheck(null);
  }, SWEEP_MS);
  scope.defer("tail sweep", () => clearInterval(sweep));
  return gateway;
}

function anonymousTest({ clusterId }: Config): (user: string) => boolean {
  const { anonymousUser } = wellKnown(clusterId);
  return (user) => user === anonymousUser;
}
