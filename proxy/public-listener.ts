/** The proxy's public listener: plain HTTP, and the edge's WebSockets on one path of it. */
import type { RequestListener, Server } from "node:http";
import { createHttpServer } from "../runtime/http-server.ts";
import { ANSWER_WITHIN_MS } from "./edge/api-proxy.ts";
import { attachEdge, type Edge, type EdgeOptions, NATS_PATH } from "./edge/edge.ts";

export type PublicListenerOptions = EdgeOptions & {
  /** Milliseconds for a request's headers; default as for every listener. */
  headersMs?: number;
};

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
