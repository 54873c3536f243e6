/** The proxy's public listener: plain HTTP (app.ts), and the edge's WebSockets on one path of it. */
import type { RequestListener, Server } from "node:http";
import type { NatsConnection } from "@nats-io/nats-core";
import type { Express } from "express";
import { parseNetworks } from "../core/address.ts";
import { formatSessionKey, type Subjects } from "../core/subjects.ts";
import type { Notice } from "../core/wire/wire.ts";
import { urlOf } from "../runtime/config/setting.ts";
import { createHttpServer } from "../runtime/http-server.ts";
import { listen } from "../runtime/listen.ts";
import type { ServiceContext } from "../runtime/service.ts";
import { SERVICE_VERSION } from "../runtime/version.ts";
import { builtConsoleDir, createApp } from "./app.ts";
import { ANSWER_WITHIN_MS, passToArvados } from "./edge/api-proxy.ts";
import { attachEdge, type Edge, type EdgeOptions, NATS_PATH } from "./edge/edge.ts";

export type PublicListenerOptions = EdgeOptions & {
  /** Milliseconds for a request's headers; default as for every listener. */
  headersMs?: number;
};

/** What `arvados-nats dev` adds: its own pages, and the folder of the console that it has built. */
export type ProxyExtras = { consoleDir?: string; extend?: (app: Express) => void };

type StartParts = { app: NatsConnection; subjects: Subjects; extras: ProxyExtras };

/** The share of nats-server's authorization timeout that a client has for its CONNECT; the callout needs the rest. */
const CONNECT_SHARE = 0.75;
/** As nats-server's write_deadline. */
const STALLED_MS = 10_000;

export function createPublicListener(
  web: RequestListener,
  options: PublicListenerOptions,
): { server: Server; edge: Edge } {
  const { headersMs, ...edgeOptions } = options;
  const server = createHttpServer(web, {
    isUpgrade: (path) => path === NATS_PATH,
    requestMs: ANSWER_WITHIN_MS,
    ...(headersMs === undefined ? {} : { headersMs }),
  });
  return { server, edge: attachEdge(server, edgeOptions) };
}

/** Listens at the setting's address. `close` ends the listener and every tunnel. */
export async function startPublicListener(
  context: ServiceContext,
  { app, subjects, extras }: StartParts,
): Promise<{ url: string; edge: Edge; close: () => void }> {
  const { config, log, metrics, scope } = context;
  const isForwarder = parseNetworks(config.trustedForwarders) ?? (() => false);
  const ended = metrics.counter("sockets_ended_total", "WebSockets that the edge itself ended, by reason", ["reason"]);
  const refused = metrics.counter(
    "sockets_refused_total",
    "Sockets refused because too many without CONNECT were open",
    ["bound"],
  );
  const { server, edge } = createPublicListener(createWeb(context, isForwarder, extras), {
    natsWebsocketUrl: config.natsWebsocketUrl,
    seed: config.edgeSeed,
    isForwarder,
    connectWithin: config.authTimeout * CONNECT_SHARE,
    stalledAfter: STALLED_MS,
    now: Date.now,
    log,
    onEnded: (reason) => ended.inc({ reason }),
    pendingBounds: { perAddress: config.pendingPerAddress, total: config.pendingTotal },
    onRefused: (bound) => refused.inc({ bound }),
  });
  const notices = app.subscribe(subjects.sessionNotices, {
    callback(error, message) {
      const notice = error ? null : noticeIn(message.data);
      if (notice !== null) edge.onNotice(formatSessionKey(subjects.parseNotice(message.subject)), notice);
    },
  });
  scope.defer("notices", () => notices.unsubscribe());
  metrics.gauge("sockets", "WebSockets open at the edge", [], () => edge.sockets());
  metrics.gauge("pending_sockets", "Sockets open at the edge without CONNECT", [], () => edge.pending());
  const address = await listen(server, config.proxyListen, { what: "the proxy", setting: "ARVADOS_NATS_LISTEN" });
  const close = () => {
    server.close();
    edge.close();
    server.closeAllConnections();
  };
  scope.defer("proxy", close);
  const url = urlOf("http", address);
  log.info({ url }, "listening");
  return { url, edge, close };
}

function createWeb(
  { config, log, metrics }: ServiceContext,
  isForwarder: (address: string) => boolean,
  extras: ProxyExtras,
): Express {
  const passed = metrics.counter("api_requests_total", "Requests passed on to the Arvados API, by status", ["status"]);
  const onAnswer = (status: number) => passed.inc({ status: String(status) });
  const passesApi = config.passApi && config.arvadosApiUrl;
  const web = createApp({
    clusterId: config.clusterId,
    publicWebsocketUrl: config.publicWebsocketUrl,
    publicNatsUrl: config.publicNatsUrl,
    serviceVersion: SERVICE_VERSION,
    consoleDir: extras.consoleDir ?? builtConsoleDir(),
    isForwarder,
    ...(passesApi ? { api: passToArvados({ url: passesApi, isForwarder, log, onAnswer }) } : {}),
  });
  extras.extend?.(web);
  return web;
}

/** Null if the message is no notice: no content of a message may end the proxy's own connection. */
function noticeIn(data: Uint8Array): string | null {
  try {
    const { notice } = (JSON.parse(new TextDecoder().decode(data)) ?? {}) as Partial<Notice>;
    return typeof notice === "string" ? notice : null;
  } catch {
    return null;
  }
}
