/** The proxy's HTTP side: discovery, and the console page. */
import type { RequestListener } from "node:http";
import { fileURLToPath } from "node:url";
import express, { type Express } from "express";
import { subjectsOf } from "../core/subjects.ts";
import type { WellKnown } from "../core/wire/wire.ts";
import { apiTarget } from "./edge/api-request.ts";
import { isEncrypted } from "./edge/client.ts";
import { NATS_PATH } from "./edge/edge.ts";

/** The wire format's version: it grows when a reader of an older one would misread. */
const WIRE_VERSION = 1;

export type AppOptions = {
  clusterId: string;
  /** What clients are told; null = made from the request's own Host. */
  publicWebsocketUrl: string | null;
  publicNatsUrl: string | null;
  serviceVersion: string;
  /** Where the built console page lies. */
  consoleDir: string;
  /** What answers the Arvados API's requests, and refuses those that only look like such. */
  api?: RequestListener;
  /** Is this address one of the site's own forwarders? Default: none is. */
  isForwarder?: (address: string) => boolean;
};

const PAGE_HEADERS = {
  "Content-Security-Policy":
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; frame-ancestors 'none'",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
};

export function createApp(options: AppOptions): Express {
  const app = express();
  const { isForwarder = () => false } = options;
  app.disable("x-powered-by");
  // Whatever NODE_ENV says: errors show no stack.
  app.set("env", "production");
  app.use((_request, response, next) => {
    response.set(PAGE_HEADERS);
    next();
  });
  app.get("/.well-known/arvados-nats", (request, response) => {
    const scheme = isEncrypted(request, isForwarder) ? "wss" : "ws";
    const host = request.headers.host ?? "";
    // It goes into the answer, and so into what a client connects to.
    if (!/^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i.test(host)) {
      response.status(400).json({ error: "the Host of this request is no host name" });
      return;
    }
    const body: WellKnown = {
      clusterId: options.clusterId,
      websocketUrl: options.publicWebsocketUrl ?? `${scheme}://${host}${NATS_PATH}`,
      natsUrl: options.publicNatsUrl,
      subjectPrefix: subjectsOf(options.clusterId).root,
      versions: { service: options.serviceVersion, wire: WIRE_VERSION },
    };
    response.set({ "Access-Control-Allow-Origin": "*", "Cache-Control": "no-store" }).json(body);
  });
  const { api } = options;
  // Not by express' own paths: it would take off what it is mounted on.
  if (api) app.use((request, response, next) => (apiTarget(request.url) === null ? next() : api(request, response)));
  app.use("/console", express.static(options.consoleDir));
  app.get("/", (_request, response) => response.sendFile("index.html", { root: options.consoleDir }));
  return app;
}

/** The console as `npm run build` leaves it beside the compiled code, or as `dev` builds it. */
export function builtConsoleDir(): string {
  return fileURLToPath(new URL("./console/dist/", import.meta.url));
}
