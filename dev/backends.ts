/**
 * What the services of the product need, on loopback: PostgreSQL with Arvados' tables, nats-server with the streams, and a configuration
 * that names both. The demo's stack starts services on it, and a bench starts those that it measures. Everything is released with the scope.
 */
import type { Logger } from "pino";
import { databaseTarget, setupNames } from "../bridge/main.ts";
import { setupDb } from "../bridge/postgres/setup-db.ts";
import { type Config, type ConfigOverrides, defaultConfig } from "../runtime/config/config.ts";
import { connectService } from "../runtime/nats/service-connection.ts";
import { createScope, type Scope } from "../runtime/scope.ts";
import { applyStreams } from "../streams-config/apply.ts";
import { generateKeys, publicKeys, type ServiceKeys } from "../streams-config/keys.ts";
import { declaredStreams, STREAM_PROFILES, type StreamProfile } from "../streams-config/streams.ts";
import { createSchema } from "./database.ts";
import { startNatsCluster } from "./servers/nats-cluster.ts";
import { type NatsServer, startNatsServer } from "./servers/nats-server.ts";
import { type PostgresServer, startPostgres } from "./servers/postgres.ts";
import { createSimulator, type Simulator } from "./simulator/index.ts";

export type BackendOptions = {
  scope: Scope;
  log: Logger;
  /** Called as each step ends, with its duration. */
  onStep?: (what: string, ms: number) => void;
  /** Called with the progress of a step that takes long: the build of nats-server. */
  onNote?: (line: string) => void;
  /** Where data is kept; absent: temporary folders, removed at the end. One server only. */
  dataDir?: string;
  /** Every COMMIT of PostgreSQL waits for the disk. Default false. */
  durable?: boolean;
  /** Fills Arvados' database, before `setup-db`. Default: the demo's schema. */
  createDatabase?: (url: string) => Promise<void>;
  /** How many nats-servers; more than one hold every stream three times. Default 1. */
  servers?: number;
  /** Sizes of the streams. Default: the profile of a small cluster. */
  streams?: Partial<StreamProfile>;
  /** Lines behind nats-server's rendered configuration. One server only. */
  natsConf?: string;
  overrides?: ConfigOverrides;
  /** nats-server ended by itself. */
  onUnexpectedExit?: (reason: string) => void;
};

export type Backends = {
  config: Config;
  postgres: PostgresServer;
  /** The first of `servers`, to which the services connect first. */
  nats: NatsServer;
  servers: readonly NatsServer[];
  arvados: Simulator;
};

const CLUSTER_ID = "zzzzz";
const DATABASE = "arvados";
const ANY_PORT = { host: "127.0.0.1", port: 0 };

export async function startBackends(options: BackendOptions): Promise<Backends> {
  const { scope } = options;
  const step = stepTimer(options.onStep);
  const keys = generateKeys();
  const [postgres, servers] = await Promise.all([
    step("PostgreSQL, with logical WAL", () => startDatabaseServer(options)),
    step("nats-server, with accounts and auth callout", () => startNatsServers(options, keys)),
  ]);
  const config = stackConfig(keys, postgres, servers, options.overrides);
  await step("streams", () => declareStreams(config, options));
  await step("Arvados' tables, publications and slot", () => prepareDatabase(postgres, config, options));
  const connection = { connectionString: postgres.url(DATABASE) };
  const arvados = scope.use("simulator", createSimulator({ connection, clusterId: CLUSTER_ID }), (it) => it.close());
  return { config, postgres, nats: servers[0] as NatsServer, servers, arvados };
}

export type Step = <T>(what: string, work: () => Promise<T>) => Promise<T>;

export function stepTimer(onStep: BackendOptions["onStep"]): Step {
  return async (what, work) => {
    const begun = performance.now();
    const result = await work();
    onStep?.(what, performance.now() - begun);
    return result;
  };
}

async function startDatabaseServer({ scope, dataDir, durable = false }: BackendOptions): Promise<PostgresServer> {
  const server = await startPostgres({ durable, ...(dataDir === undefined ? {} : { dataDir: `${dataDir}/postgres` }) });
  return scope.use("PostgreSQL", server, (it) => it.stop());
}

async function startNatsServers(options: BackendOptions, keys: ServiceKeys): Promise<readonly NatsServer[]> {
  const { scope, servers: size = 1, natsConf, dataDir, onNote, onUnexpectedExit } = options;
  const conf = { clusterId: CLUSTER_ID, keys: publicKeys(keys) };
  if (size > 1) {
    const cluster = await startNatsCluster({ ...conf, lameDuck: "30s" }, size);
    return scope.use("nats-servers", cluster, (it) => it.stop()).servers;
  }
  const started = await startNatsServer({
    conf,
    ...(onNote ? { log: onNote } : {}),
    ...(natsConf === undefined ? {} : { more: natsConf }),
    ...(dataDir === undefined ? {} : { dir: `${dataDir}/nats` }),
    ...(onUnexpectedExit ? { onUnexpectedExit } : {}),
  });
  return [scope.use("nats-server", started, (it) => it.stop())];
}

/** The configuration of every service: where the servers listen, and keys made for this stack only. */
function stackConfig(
  { issuer, xkey, edge, users }: ServiceKeys,
  postgres: PostgresServer,
  servers: readonly NatsServer[],
  overrides: ConfigOverrides = {},
): Config {
  const nats = servers[0] as NatsServer;
  const { host, port, user, password } = postgres;
  const { bridge, authcallout, gateway, streams } = users;
  return defaultConfig({
    clusterId: CLUSTER_ID,
    natsUrl: servers.map(({ url }) => url).join(" "),
    natsWebsocketUrl: nats.websocketUrl,
    publicNatsUrl: nats.url,
    postgres: { host, port, dbname: DATABASE, user, password },
    systemRootToken: rootToken(),
    issuerSeed: issuer.seed,
    xkeySeed: xkey.seed,
    edgeSeed: edge.seed,
    edgeKey: edge.public,
    nkeys: {
      bridge: { CORE: bridge.CORE.seed, STORE: bridge.STORE.seed },
      authcallout: { SYS: authcallout.SYS.seed, CORE: authcallout.CORE.seed, APP: authcallout.APP.seed },
      gateway: { CORE: gateway.CORE.seed, STORE: gateway.STORE.seed, APP: gateway.APP.seed },
      streams: { CORE: streams.CORE.seed, STORE: streams.STORE.seed },
    },
    proxyListen: ANY_PORT,
    admin: { bridge: ANY_PORT, authcallout: ANY_PORT, proxy: ANY_PORT },
    syncInterval: 10_000,
    ...overrides,
  });
}

async function prepareDatabase(postgres: PostgresServer, config: Config, options: BackendOptions): Promise<void> {
  const { log, createDatabase = createSchema } = options;
  await postgres.createDatabase(DATABASE);
  await createDatabase(postgres.url(DATABASE));
  await setupDb(databaseTarget(config), setupNames(config), { dryRun: false, print: (line) => log.debug(line) });
}

/** As long as Arvados demands of a real one; this one is good for this stack only. */
function rootToken(): string {
  return crypto.randomUUID().replaceAll("-", "").repeat(2).slice(0, 50);
}

async function declareStreams(config: Config, { log, servers = 1, streams }: BackendOptions): Promise<void> {
  await using scope = createScope();
  const connection = (account: "CORE" | "STORE") => connectService({ config, service: "streams", account, log, scope });
  const [CORE, STORE] = await Promise.all([connection("CORE"), connection("STORE")]);
  const profile = { ...STREAM_PROFILES.single, replicas: servers > 1 ? 3 : 1, ...streams };
  await applyStreams({ CORE, STORE }, declaredStreams({ clusterId: config.clusterId, profile }));
}
