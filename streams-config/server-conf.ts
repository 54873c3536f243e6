/** nats-server's configuration file, rendered from the accounts, the keys and a few numbers. Pure: text out, nothing written. */

import {
  ACCOUNT_NAMES,
  ACCOUNTS,
  type AccountName,
  accountExports,
  accountOf,
  type NatsServiceName,
  type ServicePermissions,
  servicePermissions,
  serviceUsers,
} from "./accounts.ts";
import type { PublicKeys } from "./keys.ts";

/** -1 = any free port. `monitor` null = no monitoring port. */
export type ServerPorts = { client: number; websocket: number; monitor: number | null };

export type ServerLimits = {
  /** Seconds a login may take. Above 2 s nats.go gives up first, so raising it helps JavaScript clients only. */
  authTimeout: number;
  /** Bytes of one message with its headers. The callout's answer (all of a user's grants) must fit. */
  maxPayload: number;
  /**
   * Bytes of one message of a user with its headers; nats-server ends the connection of a larger one. More than LOGS takes, so that LOGS
   * refuses the message of a log with a reason. Services publish from other accounts, without this bound.
   */
  appPayload: number;
  /** Bytes that may wait for one slow client before it is cut; nats-server's own 64 MB would let a few clients use all memory. */
  maxPending: number;
  /** User sessions in all. Services have connections in other accounts, which this does not count. */
  appConnections: number;
  /** Subscriptions of one connection in APP. */
  appSubscriptions: number;
  /** Bytes of JetStream's files in all. */
  maxFileStore: number;
  /** Bytes of JetStream's memory streams in all; ours are all files, so this only bounds consumers' state. */
  maxMemoryStore: number;
  /** How often JetStream syncs to disk; the bridge confirms to PostgreSQL only what is older. */
  syncInterval: string;
};

/** Bounds that only the installation knows: `$NAME`s, which nats-server reads from its environment. */
type LimitReferences = { maxFileStore: string; syncInterval: string };

/** Paths of PEM files, for clients and WebSocket alike. */
type ServerTls = { certFile: string; keyFile: string };

/** `port` and `routes`: where this server and the others listen for each other, on `host`. */
type ServerCluster = {
  name: string;
  port: number;
  routes: readonly number[];
  /** Advertises the addresses of all servers to clients. For tests. */
  advertise?: boolean;
};

const MIB = 1024 * 1024;

export const DEFAULT_LIMITS: ServerLimits = {
  authTimeout: 2,
  maxPayload: MIB,
  appPayload: 128 * 1024,
  maxPending: 16 * MIB,
  appConnections: 20_000,
  appSubscriptions: 10_000,
  maxFileStore: 64 * 1024 * MIB,
  maxMemoryStore: 256 * MIB,
  syncInterval: "10s",
};

export type ServerConf = {
  clusterId: string;
  /** Keys, or `$NAME` for one that nats-server reads from its environment. */
  keys: PublicKeys;
  /** Folder of JetStream's files. */
  storeDir: string;
  /** Default 127.0.0.1: without TLS nothing but loopback is safe. */
  host?: string;
  /** Default: all free ports, no monitoring. */
  ports?: Partial<ServerPorts>;
  serverName?: string;
  /** Its cluster; left out: a single server. */
  cluster?: ServerCluster;
  /** Folder into which the server writes the ports it got. */
  portsFileDir?: string;
  limits?: Partial<ServerLimits>;
  references?: LimitReferences;
  tls?: ServerTls;
  /** Allowed origins of browsers' pages: a list, or a `$NAME`. Left out: any, which is safe on loopback only. */
  allowedOrigins?: readonly string[] | string;
  /** At SIGTERM clients are moved to other servers over this time (30 s at least). Left out: at once. */
  lameDuck?: string;
  /** For `nats-server --signal`. */
  pidFile?: string;
};

/** The text of nats-server.conf. Throws a RangeError on a cluster id that could not be a subject token. */
export function serverConf(conf: ServerConf): string {
  if (!/^[a-z0-9]{5}$/.test(conf.clusterId)) throw new RangeError(`not a cluster id: ${quote(conf.clusterId)}`);
  const limits = { ...DEFAULT_LIMITS, ...conf.limits };
  const ports = { client: -1, websocket: -1, monitor: null, ...conf.ports };
  const host = conf.host ?? "127.0.0.1";
  const users = serviceUsers(conf.keys.users);
  const lines = [
    "# Written by arvados-nats (streams-config/server-conf.ts). Reloading it (SIGHUP) logs every client in again: restart instead.",
    `server_name: ${quote(conf.serverName ?? `arvados-nats-${conf.clusterId}`)}`,
    `host: ${quote(host)}`,
    `port: ${int(ports.client)}`,
    ...(ports.monitor === null ? [] : [`http: ${quote(`${host}:${int(ports.monitor)}`)}`]),
    ...(conf.pidFile === undefined ? [] : [`pid_file: ${quote(conf.pidFile)}`]),
    ...(conf.portsFileDir === undefined ? [] : [`ports_file_dir: ${quote(conf.portsFileDir)}`]),
    `max_payload: ${int(limits.maxPayload)}`,
    `max_pending: ${int(limits.maxPending)}`,
    ...(conf.lameDuck === undefined
      ? []
      : [`lame_duck_duration: ${quote(conf.lameDuck)}`, 'lame_duck_grace_period: "5s"']),
    // Proxies between a native client and nats-server cut a connection that is idle for a minute.
    'ping_interval: "20s"',
    ...(conf.tls === undefined ? [] : tlsLines(conf.tls)),
    "",
    // Service users are kept off this port by `allowed_connection_types`.
    "websocket {",
    `  host: ${quote(host)}`,
    `  port: ${int(ports.websocket)}`,
    // Without TLS it is for the edge on the same host only, where TLS ends.
    ...(conf.tls === undefined ? ["  no_tls: true"] : tlsLines(conf.tls).map((line) => `  ${line}`)),
    ...(conf.allowedOrigins === undefined
      ? []
      : [
          `  allowed_origins: ${typeof conf.allowedOrigins === "string" ? conf.allowedOrigins : list(conf.allowedOrigins)}`,
        ]),
    "}",
    "",
    ...clusterLines(conf.cluster, host),
    "jetstream {",
    `  store_dir: ${quote(conf.storeDir)}`,
    `  max_file_store: ${conf.references?.maxFileStore ?? int(limits.maxFileStore)}`,
    `  max_memory_store: ${int(limits.maxMemoryStore)}`,
    `  sync_interval: ${conf.references?.syncInterval ?? quote(limits.syncInterval)}`,
    // Unknown fields in API requests are errors: a misspelt stream setting must not pass silently.
    "  strict: true",
    "}",
    "",
    "authorization {",
    `  timeout: ${limits.authTimeout}`,
    "  auth_callout {",
    `    issuer: ${keyText(conf.keys.issuer)}`,
    "    account: CORE",
    // A user that is missing here is sent to the callout, whatever the accounts below contain.
    `    auth_users: [${users.map((user) => keyText(user.value)).join(", ")}]`,
    `    xkey: ${keyText(conf.keys.xkey)}`,
    "  }",
    "}",
    "",
    // The edge: a client that claims to be one (CONNECT `proxy_sig`) with another key is refused.
    `proxies { trusted: [{ key: ${keyText(conf.keys.edge)} }] }`,
    "",
    "system_account: SYS",
    "accounts {",
    ...ACCOUNT_NAMES.flatMap((account) => accountLines(account, conf, limits)).map((line) => `  ${line}`),
    "}",
  ];
  return `${lines.join("\n")}\n`;
}

function accountLines(account: AccountName, conf: ServerConf, limits: ServerLimits): string[] {
  const shares = accountExports(conf.clusterId);
  const exported = shares.filter((share) => share.from === account);
  const imported = shares.filter((share) => share.to === account);
  const permissions = new Map(
    serviceUsers(servicePermissions(conf.clusterId)).map((user) => [place(user.service, user.account), user.value]),
  );
  const users = serviceUsers(conf.keys.users).filter((user) => accountOf(user.account) === account);
  return [
    `# ${ACCOUNTS[account].why}`,
    `${account} {`,
    ...(ACCOUNTS[account].jetstream ? ["  jetstream: enabled"] : []),
    ...(account === "APP" ? appLimits(limits) : []),
    ...block(
      "exports",
      exported.map((share) => `{ ${share.kind}: ${quote(share.subject)}, accounts: [${share.to}] }`),
    ),
    ...block(
      "imports",
      imported.map((share) => `{ ${share.kind}: { account: ${share.from}, subject: ${quote(share.subject)} } }`),
    ),
    ...block(
      "users",
      users.flatMap((user) =>
        userLines(user.service, user.value, permissions.get(place(user.service, user.account)) as ServicePermissions),
      ),
    ),
    "}",
  ];
}

/** Clients use the configured addresses: those of the servers are internal, and bypass the edge. */
function clusterLines(cluster: ServerCluster | undefined, host: string): string[] {
  const place = cluster && [
    `  name: ${quote(cluster.name)}`,
    `  listen: ${quote(`${host}:${int(cluster.port)}`)}`,
    `  routes: ${list(cluster.routes.map((route) => `nats://${host}:${int(route)}`))}`,
  ];
  return [
    "cluster {",
    // Without `listen` the server has no cluster; this is for installations that add one.
    ...(place ?? []),
    `  no_advertise: ${!cluster?.advertise}`,
    "}",
    "",
  ];
}

function appLimits(limits: ServerLimits): string[] {
  return [
    "  limits {",
    `    max_connections: ${int(limits.appConnections)}`,
    `    max_subscriptions: ${int(limits.appSubscriptions)}`,
    `    max_payload: ${int(limits.appPayload)}`,
    "  }",
  ];
}

function userLines(service: NatsServiceName, nkey: string, permissions: ServicePermissions): string[] {
  return [
    `# ${service}`,
    "{",
    `  nkey: ${keyText(nkey)}`,
    "  allowed_connection_types: [STANDARD]",
    "  permissions {",
    `    publish: { allow: ${allow(permissions.publish)} }`,
    `    subscribe: { allow: ${allow(permissions.subscribe)} }`,
    "  }",
    "}",
  ];
}

/** An allow list. Throws for an empty list, which nats-server reads as "everything". */
function allow(subjects: readonly string[]): string {
  if (subjects.length === 0) throw new RangeError("an empty allow list would allow everything");
  return list(subjects);
}

function tlsLines({ certFile, keyFile }: ServerTls): string[] {
  return [`tls { cert_file: ${quote(certFile)}, key_file: ${quote(keyFile)} }`];
}

/** A key, or a reference that nats-server resolves. */
function keyText(key: string): string {
  return /^\$[A-Z][A-Z0-9_]*$/.test(key) ? key : quote(key);
}

function place(service: NatsServiceName, account: AccountName): string {
  return `${service} ${account}`;
}

function block(name: string, lines: string[]): string[] {
  return lines.length === 0 ? [] : [`  ${name}: [`, ...lines.map((line) => `    ${line}`), "  ]"];
}

function list(values: readonly string[]): string {
  return `[${values.map(quote).join(", ")}]`;
}

function int(value: number): string {
  if (!Number.isSafeInteger(value)) throw new RangeError(`not an integer: ${value}`);
  return String(value);
}

/** A string of the configuration language. Quoted, `$` and `#` have no meaning; backslash, quote and control characters are escaped. */
function quote(text: string): string {
  const escaped = Array.from(text, (char) => {
    if (char === "\\" || char === '"') return `\\${char}`;
    const code = char.charCodeAt(0);
    return code < 0x20 ? `\\x${code.toString(16).padStart(2, "0")}` : char;
  });
  return `"${escaped.join("")}"`;
}
