/**
 * Creates every HTTP listener of ours, with bounds on what a client may send before its request is complete. An error of a socket ends
 * that socket only. Node serves a request with `Upgrade` as plain HTTP while nobody listens to `upgrade`, and hands over all of them once
 * somebody does; here the listener names the paths that leave HTTP, and every other request stays.
 */
import { createServer, IncomingMessage, type RequestListener, type Server } from "node:http";
import type { Duplex } from "node:stream";

/** From a connection's start, or a request's first byte, to the end of its headers. */
const HEADERS_MS = 10_000;
/** nginx passes on requests of up to 32 kB with its defaults. */
const HEADER_BYTES = 32 * 1024;
/** How often Node looks for connections that are over their time. */
const CHECK_MS = 1_000;
/** For a connection that carries nothing, in addition to the time of a request. */
const IDLE_MS = 30_000;
/** For a client to read its refusal. */
const REFUSAL_MS = 5_000;

type HttpServerOptions = {
  /** Milliseconds for a whole request, its body included. Default: as for its headers. */
  requestMs?: number;
  /** Milliseconds for a request's headers. */
  headersMs?: number;
  /** Whether a request for this path (without its query) leaves HTTP. Default: none does. */
  isUpgrade?: (path: string) => boolean;
};

export function createHttpServer(listener: RequestListener, options: HttpServerOptions = {}): Server {
  const { headersMs = HEADERS_MS, requestMs = headersMs, isUpgrade = () => false } = options;
  /** Node asks `upgrade` of a request whose headers are read whether it leaves HTTP. */
  class Request extends IncomingMessage {
    declare asksUpgrade: boolean | null;
    get upgrade(): boolean {
      return this.asksUpgrade === true && this.method !== "CONNECT" && isUpgrade(pathOf(this.url ?? ""));
    }
    // Called by the base class' constructor, before fields of this class exist.
    set upgrade(asks: boolean | null) {
      this.asksUpgrade = asks;
    }
  }
  const server = createServer(
    {
      IncomingMessage: Request,
      headersTimeout: headersMs,
      requestTimeout: Math.max(headersMs, requestMs),
      connectionsCheckingInterval: Math.min(CHECK_MS, headersMs),
      maxHeaderSize: HEADER_BYTES,
    },
    (request, response) => {
      // Node reads nothing behind a request that asks for another protocol.
      if (request.asksUpgrade) response.shouldKeepAlive = false;
      listener(request, response);
    },
  );
  // Node silently drops headers above a count, and a forwarder's own headers come last. Their bytes are bounded anyway.
  server.maxHeadersCount = 0;
  // For a client that reads no answer; every other timeout is shorter.
  server.timeout = Math.max(headersMs, requestMs) + IDLE_MS;
  return server;
}

export function pathOf(target: string): string {
  return target.split("?", 1)[0] ?? "";
}

/** Refuses a request for an upgrade and closes its socket, whatever the client does meanwhile. */
export function refuseUpgrade(socket: Duplex, status: string, headers: readonly string[] = []): void {
  const end = () => socket.destroy();
  const late = setTimeout(end, REFUSAL_MS);
  // The socket is about to be closed: its errors need no handling.
  socket.on("error", () => {});
  socket.once("close", () => clearTimeout(late));
  socket.once("finish", end);
  socket.end([`HTTP/1.1 ${status}`, ...headers, "Connection: close", "Content-Length: 0", "", ""].join("\r\n"));
}
