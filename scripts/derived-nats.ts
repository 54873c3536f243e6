/** nats-server's files for installations: values for the official NATS chart, and a configuration file for plain hosts. `derived.ts` writes them. */
import { stringify } from "yaml";
import {
  ACCOUNT_NAMES,
  ACCOUNTS,
  type AccountName,
  accountExports,
  accountOf,
  servicePermissions,
  serviceUsers,
} from "../streams-config/accounts.ts";
import { publicKeyNames, publicKeyReferences } from "../streams-config/key-variables.ts";
import { DEFAULT_LIMITS, serverConf } from "../streams-config/server-conf.ts";

/** The cluster id in the committed files. Users replace it with `sed` (docs/install.md). */
const CLUSTER_ID = "zzzzz";
/** The Secret that `arvados-nats keys --nats-namespace` prints. */
const KEYS_SECRET = "arvados-nats-keys-public";

const BEGIN = /^( *)# BEGIN (\w+): derived from streams-config\/ by `npm run derive`, not to be edited$/;

/** helm/nats-values.yaml: hand-written, except for the parts between BEGIN and END. */
export function natsValues(current: string): string {
  const parts: Record<string, object> = { accounts: accountsBlock(), environment: environmentBlock() };
  const lines = current.split("\n");
  const result: string[] = [];
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] as string;
    result.push(line);
    const [, indent = "", name = ""] = BEGIN.exec(line) ?? [];
    if (name === "") continue;
    const part = parts[name];
    if (!part) throw new RangeError(`no part is called ${name}`);
    const text = stringify(part, { lineWidth: 0, aliasDuplicateObjects: false }).trimEnd();
    result.push(...text.split("\n").map((row) => `${indent}${row}`));
    const end = lines.indexOf(`${indent}# END ${name}`, at);
    if (end < 0) throw new RangeError(`${name} has no END`);
    at = end - 1;
  }
  return result.join("\n");
}

/** `config.merge` of the official chart. It renders strings in `<< >>` without quotes: numbers, and `$NAME` from the environment. */
function accountsBlock(): object {
  const { issuer, xkey, edge, users } = publicKeyReferences();
  return {
    system_account: "SYS",
    proxies: { trusted: [{ key: raw(edge) }] },
    max_payload: raw(DEFAULT_LIMITS.maxPayload),
    max_pending: raw(DEFAULT_LIMITS.maxPending),
    authorization: {
      timeout: DEFAULT_LIMITS.authTimeout,
      auth_callout: {
        issuer: raw(issuer),
        xkey: raw(xkey),
        account: "CORE",
        auth_users: serviceUsers(users).map(({ value }) => raw(value)),
      },
    },
    accounts: Object.fromEntries(ACCOUNT_NAMES.map((account) => [account, accountBlock(account)])),
  };
}

function accountBlock(account: AccountName): object {
  const shares = accountExports(CLUSTER_ID);
  const permissions = serviceUsers(servicePermissions(CLUSTER_ID));
  const users = serviceUsers(publicKeyReferences().users).flatMap((user, place) =>
    accountOf(user.account) === account
      ? [
          {
            nkey: raw(user.value),
            allowed_connection_types: ["STANDARD"],
            permissions: {
              publish: { allow: permissions[place]?.value.publish },
              subscribe: { allow: permissions[place]?.value.subscribe },
            },
          },
        ]
      : [],
  );
  const exports = shares
    .filter(({ from }) => from === account)
    .map(({ kind, subject, to }) => ({ [kind]: subject, accounts: [to] }));
  const imports = shares
    .filter(({ to }) => to === account)
    .map(({ kind, subject, from }) => ({ [kind]: { account: from, subject } }));
  return {
    ...(ACCOUNTS[account].jetstream ? { jetstream: "enabled" } : {}),
    ...(account === "APP"
      ? {
          limits: {
            max_connections: raw(DEFAULT_LIMITS.appConnections),
            max_subscriptions: raw(DEFAULT_LIMITS.appSubscriptions),
            max_payload: raw(DEFAULT_LIMITS.appPayload),
          },
        }
      : {}),
    ...(exports.length > 0 ? { exports } : {}),
    ...(imports.length > 0 ? { imports } : {}),
    users,
  };
}

function environmentBlock(): object {
  const { issuer, xkey, edge, users } = publicKeyNames();
  const names = [issuer, xkey, edge, ...serviceUsers(users).map(({ value }) => value)];
  return Object.fromEntries(
    names.map((name) => [name, { valueFrom: { secretKeyRef: { name: KEYS_SECRET, key: name } } }]),
  );
}

/** packaging/nats/nats-server.conf: one server on a plain host, with TLS, keys from its unit's EnvironmentFile. */
export function hostNatsConf(): string {
  const head = [
    "# Derived from streams-config/ by `npm run derive`, for the cluster zzzzz:",
    "#   sed 's/zzzzz/YOUR ID/g' nats-server.conf > /etc/arvados-nats/nats-server.conf",
    "# Keys come from the environment (packaging/systemd/arvados-nats-server.service), so this file holds no secret.",
  ];
  const conf = serverConf({
    clusterId: CLUSTER_ID,
    keys: publicKeyReferences(),
    storeDir: "/var/lib/arvados-nats-server",
    host: "0.0.0.0",
    ports: { client: 4222, websocket: 8080, monitor: null },
    tls: {
      certFile: "/run/credentials/arvados-nats-server.service/server.crt",
      keyFile: "/run/credentials/arvados-nats-server.service/server.key",
    },
    allowedOrigins: "$ARVADOS_NATS_SERVER_ALLOWED_ORIGINS",
    lameDuck: "30s",
  });
  return `${head.join("\n")}\n${conf}`;
}

function raw(value: string | number): string {
  return `<< ${value} >>`;
}
