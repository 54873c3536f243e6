/**
 * A connection to nats-server for a service: one nkey, one account, and it never gives up. What goes wrong at the first connect is a
 * fault with a remedy, a server that is too old included; what goes wrong later is logged while the client library reconnects.
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
  /** As the setting `nats.url`: several with a space between two; the first one is tried first. */
  url: string;
  /** The nkey seed of the service's user in that account; two while it is being changed. */
  seed: string;
  /** For logs and faults only: the server knows the account by the nkey. */
  account: string;
  /** How the server's listings call this connection. */
  name: string;
  log: Logger;
  /** Where replies go; a service's permissions name one. */
  inboxPrefix?: string;
  /** For each try of the first connect, ms. */
  timeoutMs?: number;
  /** For those who only look or help out: a server that is too old will do. */
  anyVersion?: boolean;
  /** Before each dial after a loss, ms; default 500 to 750. */
  reconnectMs?: number;
};

/** With two nkeys: enough that the right one was surely among them. */
const TRIES = 16;
/** nats-server gives a sign-in 2 s. Where the machine stands still for as long, it is over: who starts in that moment tries again. */
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
      // A service outlives any outage of its server; and after a denial it tries again, since the server may have been reconfigured.
      maxReconnectAttempts: -1,
      ignoreAuthErrorAbort: true,
      // With two nkeys a refusal is no sign of trouble: the other one is offered at once.
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
    // A cluster may still have one: this process was let in elsewhere, and what it holds is worth more than the refusal.
    const behind = tooOld(connection, url);
    if (behind) log.error({ ...behind.facts }, `${behind.message}: ${behind.remedy}`);
  });
  log.debug({ server: connection.getServer() }, "connected to nats-server");
  return connection;
}

/**
 * The library looks at no scheme: without this a server that offers no TLS would be spoken to in the clear. And of an IP address it
 * would take any certificate for `localhost`.
 */
export function tlsOf(url: string): { tls?: TlsOptions & Pick<ConnectionOptions, "checkServerIdentity"> } {
  if (!url.startsWith("tls:")) return {};
  const hosts = serversOf(url).map((server) => new URL(server).hostname.replace(/^\[(.*)\]$/, "$1"));
  const addresses = hosts.filter((host) => isIP(host) !== 0);
  if (addresses.length === 0) return { tls: {} };
  return {
    tls: {
      checkServerIdentity(name, certificate) {
        // The library does not say which of the addresses it has called.
        const names = hosts.includes(name) && isIP(name) === 0 ? [name] : addresses;
        const wrong = names.map((host) => checkServerIdentity(host, certificate));
        return wrong.includes(undefined) ? undefined : wrong[0];
      },
    },
  };
}

/** To the library an exception out of a subscription's callback is the end of reading: the connection would be deaf, and not know it. */
function guardCallbacks(connection: NatsConnection, log: Logger): void {
  const subscribe = connection.subscribe.bind(connection);
  connection.subscribe = (subject, options) => {
    const callback = options?.callback;
    if (!callback) return subscribe(subject, options);
    const guarded: typeof callback = (error, message) => {
      try {
        callback(error, message);
      } catch (failure) {
        log.error({ reason: kindOfError(failure), subscription: subject }, "a message could not be taken in");
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

/** Nobody has refused anything: there was no time for it. */
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

/** The library wraps what the operating system said, which is what a person can act on. */
function deepest(error: unknown): unknown {
  return error instanceof Error && error.cause instanceof Error ? deepest(error.cause) : error;
}

async function logStatus(connection: NatsConnection, log: Logger, onReconnect: () => void): Promise<void> {
  for await (const status of connection.status()) {
    if (status.type === "reconnect") onReconnect();
    logOne(status, log);
  }
  const error = await connection.closed();
  if (error) log.error({ reason: reasonOf(error) }, "the connection to nats-server is closed for good");
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
      log.warn("nats-server answers no pings");
      break;
    case "ldm":
      log.info({ server: status.server }, "nats-server is about to shut down");
      break;
    default:
      log.debug({ status: status.type }, "connection status");
  }
}
