/**
 * Every setting of the product, as data. Parsing, the TypeScript type `Config`, `config print`, the reference page and the chart's
 * env block are derived from this table; nothing else reads the environment. Defaults are written as a user would write them.
 */
import { LOG_FOLLOWER_SETTINGS } from "./log-follower-settings.ts";
import { LOOKUP_SETTINGS } from "./lookup-settings.ts";
import { NKEY_SETTINGS } from "./nkey-settings.ts";
import { POSTGRES_SETTINGS } from "./postgres-settings.ts";
import { SESSION_SETTINGS } from "./session-settings.ts";
import type { Consumer, Setting, ValueOf } from "./setting.ts";

interface SettingTree {
  readonly [name: string]: Setting | SettingTree;
}

const EVERY: readonly Consumer[] = ["bridge", "authcallout", "proxy", "streams", "setup-db"];

export const CONFIG_TABLE = {
  clusterId: {
    type: "clusterId",
    env: "ARVADOS_NATS_CLUSTER_ID",
    file: "clusterId",
    default: "",
    neededBy: EVERY,
    doc: "The Arvados cluster's five-character id. Taken from --config where that file holds one cluster.",
  },
  natsUrl: {
    type: "urls",
    schemes: ["nats", "tls"],
    env: "ARVADOS_NATS_URL",
    file: "nats.url",
    default: "nats://127.0.0.1:4222",
    doc: "Where the services reach nats-server: one name that resolves to every server, or the address of each, separated by spaces. The servers do not advertise each other.",
  },
  natsWebsocketUrl: {
    type: "url",
    schemes: ["ws", "wss"],
    env: "ARVADOS_NATS_WEBSOCKET_URL",
    file: "nats.websocketUrl",
    default: "ws://127.0.0.1:8080",
    doc: "Where the proxy reaches nats-server's WebSocket listener.",
  },
  syncInterval: {
    type: "duration",
    min: 0,
    max: 3_600_000,
    env: "ARVADOS_NATS_SYNC_INTERVAL",
    file: "nats.syncInterval",
    default: "2m",
    doc: "The sync_interval of nats-server's JetStream. A power failure may lose messages younger than this, so the bridge does not confirm them to PostgreSQL yet.",
  },
  publicWebsocketUrl: {
    type: "url",
    schemes: ["ws", "wss"],
    env: "ARVADOS_NATS_PUBLIC_WEBSOCKET_URL",
    file: "public.websocketUrl",
    default: null,
    doc: "The WebSocket address that discovery gives to browsers. Unset: made from the request's Host.",
  },
  publicNatsUrl: {
    type: "url",
    schemes: ["nats", "tls"],
    env: "ARVADOS_NATS_PUBLIC_URL",
    file: "public.natsUrl",
    default: null,
    doc: "The address that discovery gives to native clients. Unset: none.",
  },
  arvadosApiUrl: {
    type: "url",
    schemes: ["http", "https"],
    env: "ARVADOS_NATS_API_URL",
    file: "arvados.apiUrl",
    arvados: "Services.Controller.ExternalURL",
    default: null,
    doc: "The Arvados API. The log follower reads logs from it, authcallout asks it about tokens (lookup.kinds), and the proxy forwards requests to it (proxy.passApi).",
  },
  ...POSTGRES_SETTINGS,
  publishSilent: {
    type: "boolean",
    env: "ARVADOS_NATS_PUBLISH_SILENT",
    file: "bridge.publishSilent",
    default: "false",
    doc: "Whether changes without a log row in Arvados are published too, as events of type `silent`. For clusters with audit logging off.",
  },
  logFollower: LOG_FOLLOWER_SETTINGS,
  systemRootToken: {
    type: "text",
    env: "ARVADOS_NATS_SYSTEM_ROOT_TOKEN",
    file: "arvados.systemRootToken",
    arvados: "SystemRootToken",
    default: "",
    secret: true,
    neededBy: ["authcallout", "proxy"],
    doc: "Arvados' SystemRootToken. It logs in as root, and it is the key under which Arvados stores OIDC tokens.",
  },
  anonymousUserToken: {
    type: "tokenSecret",
    env: "ARVADOS_NATS_ANONYMOUS_USER_TOKEN",
    file: "arvados.anonymousUserToken",
    arvados: "Users.AnonymousUserToken",
    default: "",
    secret: true,
    doc: "Arvados' Users.AnonymousUserToken (only the secret part of a v2 token counts). Empty: no anonymous access.",
  },
  roleGroupsVisibleToAll: {
    type: "boolean",
    env: "ARVADOS_NATS_ROLE_GROUPS_VISIBLE_TO_ALL",
    file: "arvados.roleGroupsVisibleToAll",
    arvados: "Users.RoleGroupsVisibleToAll",
    default: "true",
    doc: "Arvados' Users.RoleGroupsVisibleToAll: every active user may see all role groups.",
  },
  issuerSeed: {
    type: "seed",
    prefix: "SA",
    env: "ARVADOS_NATS_ISSUER_SEED",
    file: "callout.issuerSeed",
    default: "",
    secret: true,
    neededBy: ["authcallout"],
    together: "callout",
    doc: "Seed of the account key that signs user JWTs. Anyone who has it can log in as any user. During a change of keys: the new seed, a space, the old seed; this holds for every seed.",
  },
  xkeySeed: {
    type: "seed",
    prefix: "SX",
    env: "ARVADOS_NATS_XKEY_SEED",
    file: "callout.xkeySeed",
    default: "",
    secret: true,
    neededBy: ["authcallout"],
    together: "callout",
    doc: "Seed of the curve key to which nats-server encrypts login requests.",
  },
  authTimeout: {
    type: "duration",
    min: 500,
    max: 60_000,
    env: "ARVADOS_NATS_AUTH_TIMEOUT",
    file: "callout.authTimeout",
    default: "2s",
    doc: "The authorization.timeout of nats-server. A login that a dead replica answered can still become a session for this long.",
  },
  edgeKey: {
    type: "nkey",
    prefix: "U",
    env: "ARVADOS_NATS_PUBLIC_EDGE",
    file: "callout.edgeKey",
    default: "",
    neededBy: ["authcallout"],
    doc: "Public key of the edge's nkey. authcallout believes what the edge says about a client's address. nats-server lists the key among its trusted proxies.",
  },
  edgeKeyOld: {
    type: "nkey",
    prefix: "U",
    env: "ARVADOS_NATS_PUBLIC_EDGE_OLD",
    file: "callout.edgeKeyOld",
    default: "",
    doc: "The previous key of the edge, which is accepted as well during a change of keys.",
  },
  guessesPerMinute: {
    type: "integer",
    min: 1,
    max: 1_000_000,
    env: "ARVADOS_NATS_GUESSES_PER_MINUTE",
    file: "callout.guessesPerMinute",
    default: "30",
    doc: "How many logins with an unknown token one address (IPv6: one /64) may try in a minute. After that all its logins are refused for a while.",
  },
  onOutage: {
    type: "choice",
    values: ["deny", "abort"],
    env: "ARVADOS_NATS_ON_OUTAGE",
    file: "callout.onOutage",
    default: "deny",
    doc: "How a login is answered that fails for a reason of ours (errors handled by `retry`): deny = it is refused at once, abort = there is no answer, so the client waits for nats-server's timeout.",
  },
  ...LOOKUP_SETTINGS,
  nkeys: NKEY_SETTINGS,
  proxyListen: {
    type: "address",
    env: "ARVADOS_NATS_LISTEN",
    file: "proxy.listen",
    default: "127.0.0.1:8470",
    doc: "Where the proxy listens for clients, as host:port. `:8470` = every interface.",
  },
  trustedForwarders: {
    type: "networks",
    env: "ARVADOS_NATS_TRUSTED_FORWARDERS",
    file: "proxy.trustedForwarders",
    default: "127.0.0.1 ::1",
    doc: "Addresses and networks of your own nginx or ingress, separated by spaces. The proxy believes their X-Forwarded-For (or Forwarded) about the client's address, and their X-Forwarded-Proto about TLS.",
  },
  passApi: {
    type: "boolean",
    env: "ARVADOS_NATS_PASS_API",
    file: "proxy.passApi",
    default: "false",
    doc: "Whether the proxy forwards plain HTTP (`/arvados/v1/`, `/discovery/v1/`) to arvados.apiUrl, for pages on its own origin.",
  },
  pendingPerAddress: {
    type: "integer",
    min: 1,
    max: 1_000_000,
    env: "ARVADOS_NATS_PENDING_PER_ADDRESS",
    file: "proxy.pendingPerAddress",
    default: "200",
    doc: "How many sockets without a CONNECT one address (IPv6: one /64; all unknown addresses together) may have open at one proxy. A client needs one for some milliseconds.",
  },
  pendingTotal: {
    type: "integer",
    min: 1,
    max: 1_000_000,
    env: "ARVADOS_NATS_PENDING_TOTAL",
    file: "proxy.pendingTotal",
    default: "2000",
    doc: "How many sockets without a CONNECT all addresses together may have open at one proxy.",
  },
  edgeSeed: {
    type: "seed",
    prefix: "SU",
    env: "ARVADOS_NATS_EDGE_SEED",
    file: "proxy.edgeSeed",
    default: "",
    secret: true,
    neededBy: ["proxy"],
    doc: "Seed of the edge's nkey, by which nats-server and authcallout recognize the edge.",
  },
  admin: {
    bridge: {
      type: "address",
      env: "ARVADOS_NATS_ADMIN_BRIDGE",
      file: "admin.bridge",
      default: "127.0.0.1:8471",
      doc: "Where the bridge serves /livez, /readyz and /metrics, as host:port.",
    },
    authcallout: {
      type: "address",
      env: "ARVADOS_NATS_ADMIN_AUTHCALLOUT",
      file: "admin.authcallout",
      default: "127.0.0.1:8472",
      doc: "Where authcallout serves /livez, /readyz and /metrics, as host:port.",
    },
    proxy: {
      type: "address",
      env: "ARVADOS_NATS_ADMIN_PROXY",
      file: "admin.proxy",
      default: "127.0.0.1:8473",
      doc: "Where the proxy serves /livez, /readyz and /metrics, as host:port.",
    },
  },
  ...SESSION_SETTINGS,
  logLevel: {
    type: "choice",
    values: ["trace", "debug", "info", "warn", "error", "fatal"],
    env: "ARVADOS_NATS_LOG_LEVEL",
    file: "log.level",
    default: "info",
    doc: "The lowest level that is logged.",
  },
  logFormat: {
    type: "choice",
    values: ["json", "pretty"],
    env: "ARVADOS_NATS_LOG_FORMAT",
    file: "log.format",
    default: null,
    doc: "Unset: pretty on a terminal, JSON elsewhere.",
  },
} as const satisfies SettingTree;

/** What a table of settings becomes once read: the same tree, with a value in each setting's place. */
type ConfigOf<T> = {
  -readonly [K in keyof T]: T[K] extends Setting ? ValueOf<T[K]> : T[K] extends object ? ConfigOf<T[K]> : never;
};

/** Plain data. A setting that the running command does not need may be `""`. */
export type Config = ConfigOf<typeof CONFIG_TABLE>;

/** Settings that go together by size: each must be smaller than the next. */
export const ASCENDING = [
  "stalenessTail",
  "stalenessRefuse",
  "stalenessEnd",
] as const satisfies readonly (keyof Config)[];

export type PlacedSetting = { path: readonly string[]; setting: Setting };

/** Every setting with its place in `Config`, in the order of the table. */
export function allSettings(): PlacedSetting[] {
  const walk = (tree: SettingTree, path: readonly string[]): PlacedSetting[] =>
    Object.entries(tree).flatMap(([name, node]) =>
      isSetting(node) ? [{ path: [...path, name], setting: node }] : walk(node, [...path, name]),
    );
  return walk(CONFIG_TABLE, []);
}

/** A setting's name in faults and help: in the settings file and in the environment. */
export function settingName(setting: Setting | "clusterId"): string {
  const { file, env } = setting === "clusterId" ? CONFIG_TABLE.clusterId : setting;
  return `${file} (${env})`;
}

function isSetting(node: Setting | SettingTree): node is Setting {
  return typeof (node as Setting).doc === "string";
}
