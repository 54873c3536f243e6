/** The door for browsers: `/nats` is nats-server's WebSocket listener, tunnelled. nats-server itself decides who may do what. */
import type { IncomingMessage, Server } from "node:http";
import { Socket } from "node:net";
import httpProxy from "http-proxy";
import type { Logger } from "pino";
import { reasonOf } from "../core/errors.ts";

export const NATS_PATH = "/nats";

export type Edge = { sockets(): number; close(): void };

export function attachEdge(server: Server, natsWebsocketUrl: string, log: Logger): Edge {
  const proxy = httpProxy.createProxyServer({ target: natsWebsocketUrl, ws: true, changeOrigin: true });
  const open = new Set<Socket>();

  proxy.on("error", (error, _request, response) => {
    log.warn({ reason: reasonOf(error) }, "nats-server's WebSocket does not answer");
    if (response instanceof Socket) response.destroy();
  });

  server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const path = (request.url ?? "").split("?")[0];
    if (path !== NATS_PATH) {
      socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    socket.on("error", () => socket.destroy());
    // The query may hold a token, and nats-server has no use for a path.
    request.url = "/";
    proxy.ws(request, socket, head);
  });

  return {
    sockets: () => open.size,
    close() {
      for (const socket of open) socket.destroy();
      proxy.close();
    },
  };
}
