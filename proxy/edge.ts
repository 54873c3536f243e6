/** The door for browsers: `/nats` is nats-server's WebSocket listener, tunnelled. nats-server itself decides who may do what. */
import type { IncomingMessage, Server } from "node:http";
import { Socket } from "node:net";
import httpProxy from "http-proxy";
import type { Logger } from "pino";
import { reasonOf } from "../core/errors.ts";

export const NATS_PATH = "/nats";

const UNREACHABLE = new Set(["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT"]);

export type Edge = { sockets(): number; close(): void };

export function attachEdge(server: Server, natsWebsocketUrl: string, log: Logger): Edge {
  const proxy = httpProxy.createProxyServer({ target: natsWebsocketUrl, ws: true, changeOrigin: true });
  const open = new Set<Socket>();

  proxy.on("error", (error, _request, response) => {
    // Either side ending a socket is daily business; that there is no other side is not.
    const unreachable = UNREACHABLE.has((error as NodeJS.ErrnoException).code ?? "");
    log[unreachable ? "warn" : "debug"]({ reason: reasonOf(error) }, "a tunnel to nats-server's WebSocket broke");
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
