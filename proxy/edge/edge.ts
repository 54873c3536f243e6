/**
 * The edge: tunnels browsers' WebSockets on `/nats` to nats-server's WebSocket listener. nats-server knows the edge by its key (ADR-55 of
 * NATS), and authcallout learns the client's address from what the edge signs. The edge can refuse a socket; it cannot admit a session,
 * which only authcallout does. public-listener.ts attaches it.
 */
import { type KeyObject, sign } from "node:crypto";
import type { IncomingMessage, Server } from "node:http";
import type { Socket } from "node:net";
import type { Logger } from "pino";
import { canonicalAddress, UNKNOWN_ADDRESS } from "../../core/address.ts";
import { type CloseName, isCloseName } from "../../core/close-codes.ts";
import { fault, reasonOf } from "../../core/errors.ts";
import { seedBytes, seedsIn, signingKey } from "../../core/nkey.ts";
import { signStatement } from "../../core/session/edge-statement.ts";
import { parseSessionId } from "../../core/session/session.ts";
import { formatSessionKey } from "../../core/subjects.ts";
import { parseToken, sessionTokenOf } from "../../core/token/token.ts";
import { isUntrusted } from "../../runtime/certificate.ts";
import { pathOf, refuseUpgrade } from "../../runtime/http-server.ts";
import { requestAddress, requestToken } from "./client.ts";
import { type ConnectFields, formatConnect, tokenOf } from "./connect-line.ts";
import { acceptUpgrade } from "./handshake.ts";
import { PENDING_BOUNDS, Pending, type PendingBounds, type PendingRefusal } from "./pending.ts";
import { Renewals } from "./renewals.ts";
import { Tunnel } from "./tunnel.ts";
import { dialUpstream } from "./upstream.ts";

export const NATS_PATH = "/nats";

/** The edge sends something on every socket within twice this time: nginx and load balancers cut an idle one after 60 s, some after 30 s. */
const PING_EVERY_MS = 12_000;
const LOG_REFUSALS_EVERY_MS = 10_000;
/** nats-server sends browsers messages of at most 4 kB, and others one message of all that is pending, up to its max_pending. */
const USER_AGENT = "Mozilla/5.0 (arvados-nats edge)";

export type EdgeOptions = {
  natsWebsocketUrl: string;
  /** The edge's nkey seed; two while it is being changed. */
  seed: string;
  /** Is this address one of the site's own forwarders? */
  isForwarder: (address: string) => boolean;
  /** Milliseconds that a client has for its CONNECT. */
  connectWithin: number;
  /** Milliseconds after which a socket that accepts no data is closed. */
  stalledAfter: number;
  now: () => number;
  log: Logger;
  onEnded: (because: CloseName) => void;
  /** How many sockets may have sent no CONNECT; those that have sent no headers count too. */
  pendingBounds?: PendingBounds;
  /** A socket was refused by one of these bounds. */
  onRefused?: (by: PendingRefusal) => void;
  /** Milliseconds between two checks for idle sockets. */
  pingEvery?: number;
};

/** Notices after which a session needs a fresh login to have all its rights. */
const NEWS: readonly CloseName[] = ["permissionsGrown", "objectsMoved"];

/** One client's WebSocket, as its upgrade request described it. */
type Accepted = {
  socket: Socket;
  /** What came behind the request. */
  head: Buffer;
  address: string;
  origin: string | undefined;
  /** From the request, for clients that cannot put a token into CONNECT; empty if there is none. */
  token: string;
  /** Takes the socket out of those that have sent no CONNECT. */
  leave: () => void;
};

export function attachEdge(server: Server, options: EdgeOptions): Edge {
  const edge = new Edge(options);
  server.on("connection", (socket: Socket) => edge.onConnection(socket));
  server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) =>
    edge.onUpgrade(request, socket, head),
  );
  return edge;
}

export class Edge {
  readonly #options: EdgeOptions;
  readonly #keys: readonly KeyObject[];
  readonly #url: URL;
  readonly #open = new Set<Tunnel>();
  readonly #renewals: Renewals;
  readonly #pending: Pending;
  readonly #leaveAsConnection = new WeakMap<Socket, () => void>();
  readonly #pings: NodeJS.Timeout;
  #refusalLoggedAt = Number.NEGATIVE_INFINITY;
  #refused = 0;

  constructor(options: EdgeOptions) {
    const { seed, now, pendingBounds = PENDING_BOUNDS, pingEvery = PING_EVERY_MS } = options;
    this.#options = options;
    this.#url = new URL(options.natsWebsocketUrl);
    this.#keys = seedsIn(seed).map((one) => signingKey(seedBytes("user", one)));
    this.#renewals = new Renewals({ now, later: (callback, ms) => void setTimeout(callback, ms).unref() });
    this.#pending = new Pending(pendingBounds);
    this.#pings = setInterval(() => {
      for (const tunnel of this.#open) tunnel.keepAlive();
    }, pingEvery).unref();
  }

  sockets(): number {
    return this.#open.size;
  }

  /** Sockets that have sent no CONNECT yet. */
  pending(): number {
    return this.#pending.size;
  }

  /** @param session key of the session that authcallout has sent the notice to */
  onNotice(session: string, notice: string): void {
    if (isCloseName(notice) && NEWS.includes(notice)) this.#renewals.news(session, notice);
  }

  close(): void {
    clearInterval(this.#pings);
    for (const tunnel of this.#open) tunnel.end("draining");
  }

  onConnection(socket: Socket): void {
    const peer = canonicalAddress(socket.remoteAddress ?? "");
    const leave = this.#pending.enter(peer === null || this.#options.isForwarder(peer) ? null : peer);
    if (typeof leave === "string") {
      this.#onRefused(leave, peer ?? UNKNOWN_ADDRESS);
      socket.destroy();
      return;
    }
    this.#leaveAsConnection.set(socket, leave);
    socket.once("close", leave);
  }

  onUpgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    if (pathOf(request.url ?? "") !== NATS_PATH) return refuseUpgrade(socket, "404 Not Found");
    const answer = acceptUpgrade(request);
    if ("status" in answer) return refuseUpgrade(socket, answer.status, answer.headers);
    // From here on the socket counts by the client's address, which a forwarder has added, instead of the connection's.
    this.#leaveAsConnection.get(socket)?.();
    const address = requestAddress(request, this.#options.isForwarder);
    const leave = this.#pending.enter(address);
    if (typeof leave === "string") {
      this.#onRefused(leave, address);
      return refuseUpgrade(socket, "429 Too Many Requests", ["Retry-After: 1"]);
    }
    socket.once("close", leave);
    socket.setTimeout(0);
    socket.setNoDelay(true);
    socket.write(answer);
    const { headers, url = "" } = request;
    this.#openTunnel({ socket, head, address, origin: headers.origin, token: requestToken(headers, url), leave });
  }

  #openTunnel(accepted: Accepted): void {
    const { socket, head, address, origin } = accepted;
    const { connectWithin, stalledAfter, log, natsWebsocketUrl } = this.#options;
    const headers = {
      "User-Agent": USER_AGENT,
      ...(address === UNKNOWN_ADDRESS ? {} : { "X-Forwarded-For": address }),
      ...(origin === undefined ? {} : { Origin: origin }),
    };
    let cause: string | undefined;
    const tunnel: Tunnel = new Tunnel({
      client: socket,
      head,
      connectWithin,
      stalledAfter,
      dial: (on) => dialUpstream({ url: this.#url, headers, ...on }),
      connect: (fields, nonce) => this.#connectLine(tunnel, accepted, fields, nonce),
      onRefused(status) {
        log.warn({ status, origin }, "nats-server refuses a WebSocket");
        return status === 403 ? "originRefused" : "natsUnreachable";
      },
      onUpstreamError(error) {
        cause = isUntrusted(error) ? untrusted(natsWebsocketUrl, error) : reasonOf(error);
      },
      onEnd: (because) => this.#onEnd(tunnel, address, because, cause),
    });
    this.#open.add(tunnel);
  }

  /** The client's CONNECT has arrived: returns the line for nats-server. */
  #connectLine(tunnel: Tunnel, accepted: Accepted, fields: ConnectFields, nonce: string | null): Buffer {
    accepted.leave();
    const token = tokenOf(fields) || accepted.token;
    const session = sessionOf(token, fields.user);
    if (session !== null) this.#renewals.opened(tunnel, session);
    return formatConnect(fields, {
      auth_token: token,
      pass: signStatement(this.#keys, accepted.address, token, this.#options.now()),
      ...proofOf(this.#keys, nonce),
    });
  }

  #onEnd(tunnel: Tunnel, address: string, because: CloseName | null, cause: string | undefined): void {
    this.#open.delete(tunnel);
    this.#renewals.ended(tunnel);
    if (because === null) return;
    const { log, onEnded } = this.#options;
    onEnded(because);
    // Misbehaving clients are normal; an unreachable nats-server is not.
    const fields = { address, reason: because, ...(cause === undefined ? {} : { cause }) };
    log[because === "natsUnreachable" ? "warn" : "info"](fields, "a WebSocket was ended");
  }

  /** Counts each refusal, and logs one line for all of ten seconds: during an attack there are many. */
  #onRefused(bound: PendingRefusal, address: string): void {
    const { now, log, onRefused } = this.#options;
    onRefused?.(bound);
    this.#refused += 1;
    if (now() - this.#refusalLoggedAt < LOG_REFUSALS_EVERY_MS) return;
    const sockets = this.#refused;
    log.warn({ bound, address, sockets }, "sockets are refused: too many are open that have sent no CONNECT");
    this.#refusalLoggedAt = now();
    this.#refused = 0;
  }
}

/** The session key as the callout will compute it, if it admits the token. */
function sessionOf(text: string, user: unknown): string | null {
  const token = parseToken(text);
  const sid = typeof user === "string" || user === undefined ? parseSessionId(user) : null;
  return token && sid ? formatSessionKey({ sessionToken: sessionTokenOf(token), sid }) : null;
}

/**
 * While the edge's key is replaced, some nats-servers trust only the old key and some only the new one, and refuse the other. Then the edge
 * shows none, which costs a client nothing: the statement for authcallout is signed with both keys.
 */
function proofOf(keys: readonly KeyObject[], nonce: string | null): { proxy_sig?: string } {
  const [key, ...others] = keys;
  if (nonce === null || !key || others.length > 0) return {};
  return { proxy_sig: sign(null, Buffer.from(nonce), key).toString("base64url") };
}

/** The text of an error that stops other services; the proxy continues and logs it for each client. */
function untrusted(url: string, error: Error): string {
  const { message, remedy } = fault("nats.untrusted", { url, reason: reasonOf(error) });
  return `${message}: ${remedy}`;
}
