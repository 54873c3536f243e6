/**
 * The whole product on one machine: PostgreSQL with Arvados' tables, nats-server, and every service, on free loopback ports.
 * The demo, the smoke run and the end-to-end tests all start this.
 */
import type { Logger } from "pino";
import { type AuthcalloutSeams, runAuthcallout } from "../authcallout/main.ts";
import type { Guards } from "../bridge/guards.ts";
import { databaseTarget, runBridge, setupNames } from "../bridge/main.ts";
import { setupDb } from "../bridge/postgres/setup-db.ts";
import { type ProxyExtras, runProxy } from "../proxy/main.ts";
import { isReady } from "../runtime/admin-server.ts";
import { type Config, type ConfigOverrides, defaultConfig } from "../runtime/config/config.ts";
import { connectService } from "../runtime/nats/service-connection.ts";
import { createScope, type Scope } from "../runtime/scope.ts";
import type { StartService } from "../runtime/service.ts";
import { type HostedService, hostService, type ServiceName } from "../runtime/service-host.ts";
import { sleep } from "../runtime/sleep.ts";
import { applyStreams } from "../streams-config/apply.ts";
import { generateKeys, publicKeys } from "../streams-config/keys.ts";
import { declaredStreams, STREAM_PROFILES } from "../streams-config/streams.ts";
import { createSchema } from "./database.ts";
import { type DemoCluster, seedDemo } from "./seed.ts";
import { startNatsCluster } from "./servers/nats-cluster.ts";
import { type NatsServer, startNatsServer } from "./servers/nats-server.ts";
import { type PostgresServer, startPostgres } from "./servers/postgres.ts";
import { createSimulator, type Simulator } from "./simulator/index.ts";

export type StackOptions = {
  scope: Scope;
  log: Logger;
  /** Told of each step as it ends, with its milliseconds. */
  onStep?: (what: string, ms: number) => void;
  /** Told what takes long while it lasts: nats-server being built. */
  onNote?: (line: string) => void;
  /** Where data is kept; absent: temporary folders, removed at the end. One server only. */
  dataDir?: string;
  /** Fills Arvados' database, before `setup-db`. Default: the demo's schema. */
  createDatabase?: (url: string) => Promise<void>;
  /** How many nats-servers; more than one hold every stream three times. Default 1. */
  servers?: number;
  /** Lines behind nats-server's rendered configuration. One server only. */
  natsConf?: string;
  overrides?: ConfigOverrides;
  proxy?: (stack: Pick<Stack, "arvados" | "cluster">) => Promise<ProxyExtras>;
  bridge?: Partial<Guards>;
  authcallout?: AuthcalloutSeams;
  /** nats-server ended by itself. */
  onUnexpectedExit?: (reason: string) => void;
};

export type Stack = {
  config: Config;
  postgres: PostgresServer;
  /** The first of `servers`, to which the services connect first. */
  nats: NatsServer;
  servers: readonly NatsServer[];
  arvados: Simulator;
  cluster: DemoCluster;
  services: Record<ServiceName, HostedService>;
  /** Drains a service and releases what it holds, as SIGTERM would. */
  endService(name: ServiceName): Promise<void>;
  /** Where browsers go. */
  url: string;
};

const CLUSTER_ID = "zzzzz";
const DATABASE = "arvados";
const READY_POLL_MS = 10;
const ANY_PORT = { host: "127.0.0.1", port: 0 };
/** Long enough for real ones; these are made up for the demo and good for this process only. */
const ROOT_TOKEN = () => crypto.randomUUID().replaceAll("-", "").repeat(2).slice(0, 50);

export async function startStack(options: StackOptions): Promise<Stack> {
  const { scope, log, onStep = () => {} } = options;
  const step = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    const begun = performance.now();
    const result = await work();
    onStep(what, performance.now() - begun);
    return result;
  };
  const keys = generateKeys();

  const conf = { clusterId: CLUSTER_ID, keys: publicKeys(keys) };
  const startServers = async (): Promise<readonly NatsServer[]> => {
    const { servers: size = 1 } = options;
    if (size > 1)
      return scope.use("nats-servers", await startNatsCluster({ ...conf, lameDuck: "30s" }, size), (it) => it.stop())
        .servers;
    const started = await startNatsServer({
      conf,
      ...(options.onNote ? { log: options.onNote } : {}),
      ...(options.natsConf === undefined ? {} : { more: options.natsConf }),
      ...(options.dataDir === undefined ? {} : { dir: `${options.dataDir}/nats` }),
      ...(options.onUnexpectedExit ? { onUnexpectedExit: options.onUnexpectedExit } : {}),
    });
    return [scope.use("nats-server", started, (it) => it.stop())];
  };
  const [postgres, servers] = await Promise.all([
    step("PostgreSQL, with logical WAL", () =>
      startPostgres(options.dataDir === undefined ? {} : { dataDir: `${options.dataDir}/postgres` }),
    ).then((server) => scope.use("PostgreSQL", server, (it) => it.stop())),
    step("nats-server, with accounts and auth callout", startServers),
  ]);
  const nats = servers[0] as NatsServer;

  const config = defaultConfig({
    clusterId: CLUSTER_ID,
    natsUrl: servers.map(({ url }) => url).join(" "),
    natsWebsocketUrl: nats.websocketUrl,
    publicNatsUrl: nats.url,
    postgres: {
      host: postgres.host,
      port: postgres.port,
      dbname: DATABASE,
      user: postgres.user,
      password: postgres.password,
    },
    systemRootToken: ROOT_TOKEN(),
    issuerSeed: keys.issuer.seed,
    xkeySeed: keys.xkey.seed,
    edgeSeed: keys.edge.seed,
    edgeKey: keys.edge.public,
    nkeys: {
      bridge: { CORE: keys.users.bridge.CORE.seed, STORE: keys.users.bridge.STORE.seed },
      authcallout: {
        SYS: keys.users.authcallout.SYS.seed,
        CORE: keys.users.authcallout.CORE.seed,
        APP: keys.users.authcallout.APP.seed,
      },
      gateway: {
        CORE: keys.users.gateway.CORE.seed,
        STORE: keys.users.gateway.STORE.seed,
        APP: keys.users.gateway.APP.seed,
      },
      streams: { CORE: keys.users.streams.CORE.seed, STORE: keys.users.streams.STORE.seed },
    },
    proxyListen: ANY_PORT,
    admin: { bridge: ANY_PORT, authcallout: ANY_PORT, proxy: ANY_PORT },
    syncInterval: 10_000,
    ...options.overrides,
  });

  await step("streams", () => declareStreams(config, log, servers.length));
  await step("Arvados' tables, publications and slot", async () => {
    await postgres.createDatabase(DATABASE);
    await (options.createDatabase ?? createSchema)(postgres.url(DATABASE));
    await setupDb(databaseTarget(config), setupNames(config), { dryRun: false, print: (line) => log.debug(line) });
  });
  const arvados = scope.use(
    "simulator",
    createSimulator({ connection: { connectionString: postgres.url(DATABASE) }, clusterId: CLUSTER_ID }),
    (it) => it.close(),
  );
  const cluster = await step("a cluster with alice, bob and a running container", async () => {
    await arvados.seed();
    return seedDemo(arvados);
  });

  const ends = new Map<ServiceName, () => Promise<void>>();
  const host = (name: ServiceName, start: StartService) =>
    step(name, async () => {
      const own = scope.child(name);
      const service = await hostService({ name, start, config, log, scope: own });
      ends.set(name, () => service.drain().then(() => own.close()));
      while (!isReady(service.readiness())) await sleep(READY_POLL_MS, scope.signal);
      return service;
    });
  const bridge = await host("bridge", (context) => runBridge(context, options.bridge));
  const authcallout = await host("authcallout", (context) => runAuthcallout(context, options.authcallout));
  const extras = (await options.proxy?.({ arvados, cluster })) ?? {};
  let url = "";
  const proxy = await host("proxy", async (context) => {
    const service = await runProxy(context, extras);
    url = service.url;
    return service;
  });
  const services = { bridge, authcallout, proxy };
  const endService = async (name: ServiceName) => ends.get(name)?.();
  return { config, postgres, nats, servers, arvados, cluster, services, endService, url };
}

async function declareStreams(config: Config, log: Logger, servers: number): Promise<void> {
  await using scope = createScope();
  const connection = (account: "CORE" | "STORE") => connectService({ config, service: "streams", account, log, scope });
  const [CORE, STORE] = await Promise.all([connection("CORE"), connection("STORE")]);
  const profile = { ...STREAM_PROFILES.single, replicas: servers > 1 ? 3 : 1 };
  await applyStreams({ CORE, STORE }, declaredStreams({ clusterId: config.clusterId, profile }));
}
