/**
 * The door for browsers: `/nats` leads to nats-server's WebSocket listener. nats-server knows the edge by its key (ADR-55 of NATS), and
 * authcallout learns the client's address from what the edge signs. Who may do what is decided there: this can refuse, and admit nobody.
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
import { formatConnect, tokenOf } from "./connect-line.ts";
import { acceptUpgrade } from "./handshake.ts";
import { PENDING_BOUNDS, Pending, type PendingBounds, type PendingRefusal } from "./pending.ts";
import { Renewals } from "./renewals.ts";
import { Tunnel } from "./tunnel.ts";
import { dialUpstream } from "./upstream.ts";

export const NATS_PATH = "/nats";

/** Something comes from us within twice this on every socket; nginx and load balancers cut after 60 s of nothing, some after 30 s. */
const PING_EVERY_MS = 12_000;
/** Refusals are daily business where somebody attacks, so the log has one line for many. */
const SAY_REFUSED_EVERY_MS = 10_000;
/** For browsers nats-server cuts its messages at 4 kB; to others all that waits goes as one, up to its max_pending. */
const USER_AGENT = "Mozilla/5.0 (arvados-nats edge)";

export type EdgeOptions = {
  natsWebsocketUrl: string;
  /** The edge's nkey seed; two while it is being changed. */
  seed: string;
  /** Is this address one of the site's own forwarders? */
  isForwarder: (address: string) => boolean;
  /** Milliseconds that a client has for its CONNECT. */
  connectWithin: number;
  /** Milliseconds after which an end that takes nothing is given up. */
  stalledAfter: number;
  now: () => number;
  log: Logger;
  onEnded: (because: CloseName) => void;
  /** Sockets that have sent no CONNECT, those included that have not sent their headers. */
  pendingBounds?: PendingBounds;
  /** A socket was refused by one of these bounds. */
  onRefused?: (by: PendingRefusal) => void;
  /** Milliseconds between two looks for sockets on which nothing was sent. */
  pingEvery?: number;
};

export type Edge = {
  sockets(): number;
  /** Those without CONNECT yet. */
  pending(): number;
  /** What authcallout has told a session: `<token>.<sid>`. */
  told(session: string, notice: string): void;
  close(): void;
};

/** Reasons for which a session is better off with a login of today. */
const NEWS: readonly CloseName[] = ["permissionsGrown", "objectsMoved"];

export function attachEdge(server: Server, options: EdgeOptions): Edge {
  const { natsWebsocketUrl, isForwarder, connectWithin, stalledAfter, now, log, onEnded } = options;
  const keys = seedsIn(options.seed).map((seed) => signingKey(seedBytes("user", seed)));
  const url = new URL(natsWebsocketUrl);
  const open = new Set<Tunnel>();
  const renewals = new Renewals({ now, later: (callback, ms) => void setTimeout(callback, ms).unref() });
  const { pendingBounds = PENDING_BOUNDS, onRefused = () => {}, pingEvery = PING_EVERY_MS } = options;
  const pending = new Pending(pendingBounds);
  const leaveAsConnection = new WeakMap<Socket, () => void>();
  const pings = setInterval(() => {
    for (const tunnel of open) tunnel.keepAlive();
  }, pingEvery).unref();

  let saidRefused = Number.NEGATIVE_INFINITY;
  let refused = 0;
  const refuse = (bound: PendingRefusal, address: string): void => {
    onRefused(bound);
    refused += 1;
    if (now() - saidRefused < SAY_REFUSED_EVERY_MS) return;
    log.warn({ bound, address, sockets: refused }, "sockets are refused: too many are open that have sent no CONNECT");
    saidRefused = now();
    refused = 0;
  };

  const accept = (client: Socket, head: Buffer, request: IncomingMessage, address: string, leave: () => void) => {
    const { origin } = request.headers;
    const given = requestToken(request.headers, request.url ?? "");
    let broken: string | undefined;
    const headers = {
      "User-Agent": USER_AGENT,
      ...(address === UNKNOWN_ADDRESS ? {} : { "X-Forwarded-For": address }),
      ...(origin === undefined ? {} : { Origin: origin }),
    };
    const tunnel: Tunnel = new Tunnel({
      client,
      head,
      connectWithin,
      stalledAfter,
      dial: (on) => dialUpstream({ url, headers, ...on }),
      connect(connect, nonce) {
        leave();
        const token = tokenOf(connect) || given;
        const session = sessionOf(token, connect.user);
        if (session !== null) renewals.opened(tunnel, session);
        return formatConnect(connect, {
          auth_token: token,
          pass: signStatement(keys, address, token, now()),
          ...proofOf(keys, nonce),
        });
      },
      onRefused(status) {
        log.warn({ status, origin }, "nats-server refuses a WebSocket");
        return status === 403 ? "originRefused" : "natsUnreachable";
      },
      onUpstreamError(error) {
        broken = isUntrusted(error) ? untrusted(natsWebsocketUrl, error) : reasonOf(error);
      },
      onEnd(because) {
        open.delete(tunnel);
        renewals.ended(tunnel);
        if (because === null) return;
        onEnded(because);
        // Clients that misbehave are daily business; that there is no nats-server is not.
        const fields = { address, reason: because, ...(broken === undefined ? {} : { cause: broken }) };
        log[because === "natsUnreachable" ? "warn" : "info"](fields, "a WebSocket was ended");
      },
    });
    open.add(tunnel);
  };

  server.on("connection", (socket: Socket) => {
    const peer = canonicalAddress(socket.remoteAddress ?? "");
    const place = pending.enter(peer === null || isForwarder(peer) ? null : peer);
    if (typeof place === "string") {
      refuse(place, peer ?? UNKNOWN_ADDRESS);
      socket.destroy();
      return;
    }
    leaveAsConnection.set(socket, place);
    socket.once("close", place);
  });

  server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
    if (pathOf(request.url ?? "") !== NATS_PATH) return refuseUpgrade(socket, "404 Not Found");
    const answer = acceptUpgrade(request);
    if ("status" in answer) return refuseUpgrade(socket, answer.status, answer.headers);
    // From here on it counts by its client's address, not by that of the connection.
    leaveAsConnection.get(socket)?.();
    const address = requestAddress(request, isForwarder);
    const leave = pending.enter(address);
    if (typeof leave === "string") {
      refuse(leave, address);
      return refuseUpgrade(socket, "429 Too Many Requests", ["Retry-After: 1"]);
    }
    socket.once("close", leave);
    socket.setTimeout(0);
    socket.setNoDelay(true);
    socket.write(answer);
    accept(socket, head, request, address, leave);
  });

  return {
    sockets: () => open.size,
    pending: () => pending.size,
    told(session, notice) {
      if (isCloseName(notice) && NEWS.includes(notice)) renewals.news(session, notice);
    },
    close() {
      clearInterval(pings);
      for (const tunnel of open) tunnel.end("draining");
    },
  };
}

/** As the callout will name it, where it admits the token at all. */
function sessionOf(text: string, user: unknown): string | null {
  const token = parseToken(text);
  const sid = typeof user === "string" || user === undefined ? parseSessionId(user) : null;
  return token && sid ? formatSessionKey({ sessionToken: sessionTokenOf(token), sid }) : null;
}

/**
 * While the key is being changed some nats-servers trust only the old one and some only the new one, and refuse whoever comes with the
 * other: then none is shown, which is no loss to a client (what authcallout believes is signed with both).
 */
function proofOf(keys: readonly KeyObject[], nonce: string | null): { proxy_sig?: string } {
  const [key, ...others] = keys;
  if (nonce === null || !key || others.length > 0) return {};
  return { proxy_sig: sign(null, Buffer.from(nonce), key).toString("base64url") };
}

/** Here it is told with each client that cannot come in, for the proxy itself goes on. */
function untrusted(url: string, error: Error): string {
  const { message, remedy } = fault("nats.untrusted", { url, reason: reasonOf(error) });
  return `${message}: ${remedy}`;
}
