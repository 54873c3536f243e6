/**
 * A service's connection to nats-server, with one nkey in one account. A failure of the first connect is a fault with a remedy, also when
 * the server is too old; later failures are logged while the client library reconnects, without end.
 */
import { isIP } from "node:net";
import { type ConnectionOptions, checkServerIdentity } from "node:tls";
import { errors, type NatsConnection, type Status, type TlsOptions } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { type Fault, fault, kindOfError, reasonOf } from "../../core/errors.ts";
import { isNewEnough, NATS_FLOOR, versionDefects } from "../../core/nats-version.ts";
import { seedsIn } from "../../core/nkey.ts";
import { isUntrusted } from "../certificate.ts";
import type { Logger } from "../log/log.ts";
import { leanDials } from "./lean-dials.ts";
import { chooseNkey } from "./nkey-choice.ts";

export type NatsConnectionOptions = {
  /** As the setting `nats.url`: several are separated by spaces; the first one is tried first. */
  url: string;
  /** The nkey seed of the service's user in that account; two during a change of keys. */
  seed: string;
  /** For logs and faults only: the server knows the account by the nkey. */
  account: string;
  /** The name of this connection in the server's listings. */
  name: string;
  log: Logger;
  /** Where replies go; a service's permissions name one. */
  inboxPrefix?: string;
  /** For each try of the first connect, ms. */
  timeoutMs?: number;
  /** For commands that only read or repair: a server that is too old is accepted. */
  anyVersion?: boolean;
  /** Before each dial after a loss, ms; default 500 to 750. */
  reconnectMs?: number;
};

/** With two nkeys: enough that the right one was among them almost surely. */
const TRIES = 16;
/** nats-server gives a login 2 s. A host that stalls for as long makes it fail, so the start is retried. */
const LATE_TRIES = 3;

/** @throws nats.unreachable, nats.refused, nats.untrusted, nats.no_tls, nats.too_old */
export async function connectNats(options: NatsConnectionOptions): Promise<NatsConnection> {
  const { url, seed, account, name, inboxPrefix, timeoutMs = 5_000, reconnectMs } = options;
  const log = options.log.child({ account });
  const seeds = seedsIn(seed);
  const choice = chooseNkey(seeds, Math.random);
  const open = () =>
    connect({
      servers: serversOf(url),
      noRandomize: true,
      name,
      authenticator: choice.authenticator,
      timeout: timeoutMs,
      // A service outlives any outage of its server. After a denial it retries, because the server may have been reconfigured.
      maxReconnectAttempts: -1,
      ignoreAuthErrorAbort: true,
      // With two nkeys a refusal is normal: the other nkey is offered at once.
      ...(seeds.length > 1
        ? { reconnectTimeWait: 50, reconnectJitter: 50 }
        : { reconnectTimeWait: 500, reconnectJitter: 250 }),
      ...(reconnectMs === undefined ? {} : { reconnectDelayHandler: () => reconnectMs }),
      // A server that vanished without closing its sockets is noticed within 15 s.
      pingInterval: 5_000,
      maxPingOut: 2,
      ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
      ...tlsOf(url),
    });
  let connection: NatsConnection;
  let late = 0;
  for (let tries = 1; ; tries++) {
    try {
      connection = await open();
      break;
    } catch (error) {
      const failure = connectFault(error, url, account);
      const again = isLate(error) ? ++late < LATE_TRIES : failure.code === "nats.refused" && seeds.length > 1;
      if (!again || tries === TRIES) throw failure;
    }
  }
  choice.accepted();
  const old = options.anyVersion ? null : tooOld(connection, url);
  if (old) {
    await connection.close();
    throw old;
  }
  leanDials(connection);
  guardCallbacks(connection, log);
  void logStatus(connection, log, () => {
    choice.accepted();
    // A cluster may still contain an old server. The process keeps running: the state that it holds is worth more than the refusal.
    const behind = tooOld(connection, url);
    if (behind) log.error({ ...behind.facts }, `${behind.message}: ${behind.remedy}`);
  });
  log.debug({ server: connection.getServer() }, "connected to nats-server");
  return connection;
}

/**
 * The library ignores the scheme of a URL: without this it would talk to a server without TLS in the clear. And for an IP address it
 * would accept any certificate for `localhost`.
 */
export function tlsOf(url: string): { tls?: TlsOptions & Pick<ConnectionOptions, "checkServerIdentity"> } {
  if (!url.startsWith("tls:")) return {};
  const hosts = serversOf(url).map((server) => new URL(server).hostname.replace(/^\[(.*)\]$/, "$1"));
  const addresses = hosts.filter((host) => isIP(host) !== 0);
  if (addresses.length === 0) return { tls: {} };
  return {
    tls: {
      checkServerIdentity(name, certificate) {
        // The library does not say which of the addresses it has dialled.
        const names = hosts.includes(name) && isIP(name) === 0 ? [name] : addresses;
        const wrong = names.map((host) => checkServerIdentity(host, certificate));
        return wrong.includes(undefined) ? undefined : wrong[0];
      },
    },
  };
}

/** An exception in the callback of a subscription would stop the library from reading: the connection would be deaf and not notice it. */
function guardCallbacks(connection: NatsConnection, log: Logger): void {
  const subscribe = connection.subscribe.bind(connection);
  connection.subscribe = (subject, options) => {
    const callback = options?.callback;
    if (!callback) return subscribe(subject, options);
    const guarded: typeof callback = (error, message) => {
      try {
        callback(error, message);
      } catch (failure) {
        log.error({ reason: kindOfError(failure), subscription: subject }, "a message could not be handled");
      }
    };
    return subscribe(subject, { ...options, callback: guarded });
  };
}

function tooOld({ info }: NatsConnection, url: string): Fault | null {
  const version = info?.version ?? "unknown";
  if (isNewEnough(version)) return null;
  return fault("nats.too_old", { path: url, version, floor: NATS_FLOOR, why: versionDefects(version) });
}

/** For a client library. */
export function serversOf(url: string): string[] {
  return url.split(" ");
}

/** The login ran out of time; it was not refused. */
function isLate(error: unknown): boolean {
  return deepest(error) instanceof errors.TimeoutError || /authentication timeout/i.test(reasonOf(error));
}

function connectFault(error: unknown, url: string, account: string): Fault {
  if (isLate(error)) return fault("nats.unreachable", { url, reason: reasonOf(deepest(error)) }, { cause: error });
  if (error instanceof errors.AuthorizationError || error instanceof errors.UserAuthenticationExpiredError) {
    return fault("nats.refused", { url, account, reason: reasonOf(error) }, { cause: error });
  }
  const cause = deepest(error);
  if (isUntrusted(cause)) return fault("nats.untrusted", { url, reason: reasonOf(cause) }, { cause: error });
  // The library has no class for it.
  if (/does not support 'tls'/.test(reasonOf(cause))) return fault("nats.no_tls", { url }, { cause: error });
  return fault("nats.unreachable", { url, reason: reasonOf(cause) }, { cause: error });
}

/** The library wraps the operating system's error, which is the one that an operator can act on. */
function deepest(error: unknown): unknown {
  return error instanceof Error && error.cause instanceof Error ? deepest(error.cause) : error;
}

async function logStatus(connection: NatsConnection, log: Logger, onReconnect: () => void): Promise<void> {
  for await (const status of connection.status()) {
    if (status.type === "reconnect") onReconnect();
    logOne(status, log);
  }
  const error = await connection.closed();
  if (error) log.error({ reason: reasonOf(error) }, "the connection to nats-server is closed and will not reconnect");
}

function logOne(status: Status, log: Logger): void {
  switch (status.type) {
    case "disconnect":
      log.warn({ server: status.server }, "disconnected from nats-server");
      break;
    case "reconnect":
      log.info({ server: status.server }, "reconnected to nats-server");
      break;
    case "error":
      log.error({ reason: reasonOf(status.error) }, "nats-server reports an error");
      break;
    case "slowConsumer":
      log.warn({ pending: status.pending }, "a subscription has many messages waiting");
      break;
    case "staleConnection":
      log.warn("nats-server does not answer pings");
      break;
    case "ldm":
      log.info({ server: status.server }, "nats-server is about to shut down");
      break;
    default:
      log.debug({ status: status.type }, "connection status");
  }
}
