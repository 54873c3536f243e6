/** The proxy service: the edge for browsers, discovery and console page, and the gateway's verbs. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { Express } from "express";
import { parseNetworks } from "../core/address.ts";
import { formatRevision } from "../core/revision.ts";
import { subjectsOf } from "../core/subjects.ts";
import { wellKnown } from "../core/uuid.ts";
import type { Notice, SessionReport } from "../core/wire/wire.ts";
import { PermissionReplica } from "../replica/permission-replica.ts";
import { failureSays, replicaHealth } from "../replica/replica-health.ts";
import { replicaGraphOptions, tokenOptions } from "../replica/replica-settings.ts";
import { urlOf } from "../runtime/config/setting.ts";
import { deferred } from "../runtime/deferred.ts";
import { listen } from "../runtime/listen.ts";
import { ConnectionWatch } from "../runtime/nats/connection-watch.ts";
import { connectService } from "../runtime/nats/service-connection.ts";
import type { Service, ServiceContext } from "../runtime/service.ts";
import { SERVICE_VERSION } from "../runtime/version.ts";
import { builtConsoleDir, createApp } from "./app.ts";
import { passToArvados } from "./edge/api-proxy.ts";
import { createAccess } from "./gateway/access.ts";
import { Gateway } from "./gateway/gateway.ts";
import { RequestLimits } from "./gateway/request-limits.ts";
import { ServedTails } from "./gateway/served-tails.ts";
import { TailDemand } from "./gateway/tail-demand.ts";
import { createPublicListener } from "./public-listener.ts";

/** How often tails are looked at for silent clients and a stale graph. */
const SWEEP_MS = 1_000;

/** Of the time that nats-server gives a login: the rest is for the callout. */
const CONNECT_SHARE = 0.75;
/** As nats-server's write_deadline. */
const STALLED_MS = 10_000;

/** What `arvados-nats dev` adds: pages of its own, and where it has built the console. */
export type ProxyExtras = { consoleDir?: string; extend?: (app: Express) => void };

export type ProxyService = Service & { url: string };

export async function runProxy(
  { config, log, metrics, scope }: ServiceContext,
  extras: ProxyExtras = {},
): Promise<ProxyService> {
  const subjects = subjectsOf(config.clusterId);
  const now = Date.now;
  const connect = (account: "CORE" | "STORE" | "APP") =>
    connectService({ config, service: "gateway", account, log, scope });
  const [core, store, app] = await Promise.all([connect("CORE"), connect("STORE"), connect("APP")]);
  const connections = new ConnectionWatch();
  for (const [account, nc] of Object.entries({ CORE: core, STORE: store, APP: app })) connections.add(account, nc);
  const { anonymousUser } = wellKnown(config.clusterId);
  const isAnonymous = (user: string) => user === anonymousUser;

  const answers = metrics.counter("verbs_total", "Gateway requests by verb and, for refusals, reason", [
    "verb",
    "code",
  ]);
  const dropped = metrics.counter(
    "requests_dropped_total",
    "Requests beyond what a session or user may ask, not answered",
  );
  const floods = metrics.counter("floods_total", "Sessions reported to authcallout because they flood the gateway");
  const tails = new ServedTails(
    { perUser: config.tailMax, total: config.tailTotal, isAnonymous },
    log,
    now,
    (subject) => demand.say([subject]),
  );
  const demand = new TailDemand(store, subjects, () => tails.subjects());
  scope.defer("tail demand", () => demand.stop());
  const failures = metrics.counter("stream_failures_total", "Times a stream was read again: it could not be taken in", [
    "stream",
  ]);
  const rows = metrics.counter("graph_unreadable_rows_total", "Rows of GRAPH without the shape of one: they deny", [
    "kind",
  ]);
  const health = replicaHealth({ failures, rows }, log);
  const follower = new PermissionReplica({
    ...health,
    nc: core,
    js: jetstream(core),
    jsm: await jetstreamManager(core),
    subjects,
    graph: replicaGraphOptions(config),
    tokens: tokenOptions(config),
    roles: config.roles,
    // What moved or lost a share with a large role shows in nobody's grants: then everybody's tails are looked at.
    onApplied: ({ effect, touched }) => tails.recheck(effect.rerouted ? null : new Set([...effect.shrank, ...touched])),
    onLoaded: () => tails.recheck(null),
    onTrouble: (reason) => log.warn({ reason }, "the permission graph's stream is disturbed; following again"),
    aliases: {
      onTrouble: (reason) => log.warn({ reason }, "the sessions' aliases in BARRIER are disturbed; following again"),
      onFailure: health.onBarrierFailure,
    },
  });
  scope.defer("graph follower", () => follower.stop());
  metrics.gauge("tails", "Logs being followed", [], () => tails.size);
  metrics.gauge("graph_age_seconds", "Age of the permission graph", [], () => follower.age(now()) / 1000);
  await follower.start();

  const gateway = new Gateway({
    app,
    js: jetstream(store),
    jsm: await jetstreamManager(store),
    subjects,
    access: createAccess(follower, subjects, config.stalenessTail, now, config.grantsMax),
    tails,
    limits: new RequestLimits(config.requestsPerSecond, isAnonymous),
    log,
    now,
    onAnswer: (verb, code) => answers.inc({ verb, code }),
    onDrop: () => dropped.inc(),
    onFlood(key, user) {
      floods.inc();
      const word: SessionReport = { user, token: key.sessionToken, sid: key.sid };
      if (!core.isClosed()) core.publish(subjects.sessionFlood, JSON.stringify(word));
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
    if (follower.age(now()) > config.stalenessTail) tails.recheck(null);
  }, SWEEP_MS);
  scope.defer("tail sweep", () => clearInterval(sweep));

  const isForwarder = parseNetworks(config.trustedForwarders) ?? (() => false);
  const passed = metrics.counter("api_requests_total", "Requests passed on to the Arvados API, by status", ["status"]);
  const web = createApp({
    clusterId: config.clusterId,
    publicWebsocketUrl: config.publicWebsocketUrl,
    publicNatsUrl: config.publicNatsUrl,
    serviceVersion: SERVICE_VERSION,
    consoleDir: extras.consoleDir ?? builtConsoleDir(),
    isForwarder,
    ...(config.passApi && config.arvadosApiUrl
      ? {
          api: passToArvados({
            url: config.arvadosApiUrl,
            isForwarder,
            log,
            onAnswer: (status) => passed.inc({ status: String(status) }),
          }),
        }
      : {}),
  });
  extras.extend?.(web);
  const ended = metrics.counter("sockets_ended_total", "WebSockets that the edge itself ended, by reason", ["reason"]);
  const refused = metrics.counter(
    "sockets_refused_total",
    "Sockets refused because too many without CONNECT were open",
    ["bound"],
  );
  const { server, edge } = createPublicListener(web, {
    natsWebsocketUrl: config.natsWebsocketUrl,
    seed: config.edgeSeed,
    isForwarder,
    connectWithin: config.authTimeout * CONNECT_SHARE,
    stalledAfter: STALLED_MS,
    now,
    log,
    onEnded: (reason) => ended.inc({ reason }),
    pendingBounds: { perAddress: config.pendingPerAddress, total: config.pendingTotal },
    onRefused: (bound) => refused.inc({ bound }),
  });
  const notices = app.subscribe(subjects.noticesAll, {
    callback(error, message) {
      if (error) return;
      const session = message.subject.split(".").slice(-2).join(".");
      const notice = noticeIn(message.data);
      if (notice !== null) edge.told(session, notice);
    },
  });
  scope.defer("notices", () => notices.unsubscribe());
  metrics.gauge("sockets", "WebSockets open at the edge", [], () => edge.sockets());
  metrics.gauge("pending_sockets", "Sockets open at the edge without CONNECT", [], () => edge.pending());
  const address = await listen(server, config.proxyListen, { what: "the proxy", setting: "ARVADOS_NATS_LISTEN" });
  const done = deferred<void>();
  const close = () => {
    server.close();
    edge.close();
    server.closeAllConnections();
  };
  scope.defer("proxy", close);
  const url = urlOf("http", address);
  log.info({ url }, "listening");

  return {
    url,
    readiness() {
      const age = follower.age(now());
      const fresh = age <= config.stalenessTail;
      return {
        graph: {
          ok: fresh,
          says: fresh
            ? `following at revision ${formatRevision(follower.revision)}`
            : `stale: ${follower.failure ? `${failureSays(follower.failure)}; ` : ""}tails are ended`,
        },
        connections: connections.readiness(),
        edge: { ok: true, says: `${edge.sockets()} sockets, ${tails.size} tails` },
      };
    },
    async drain() {
      await gateway.drain();
      close();
      done.resolve();
    },
    done: done.promise,
  };
}

/** Null for what is none: nothing that a message says may end the connection that it came by. */
function noticeIn(data: Uint8Array): string | null {
  try {
    const { notice } = (JSON.parse(new TextDecoder().decode(data)) ?? {}) as Partial<Notice>;
    return typeof notice === "string" ? notice : null;
  } catch {
    return null;
  }
}
