/** PostgreSQL, nats-server and bridges, each its own process that can be killed and comes back; and what answers the bridges' barriers. */
import { writeFileSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { databaseTarget, setupNames } from "../../bridge/main.ts";
import { setupDb } from "../../bridge/postgres/setup-db.ts";
import { createSchema } from "../../dev/database.ts";
import { healthy } from "../../dev/servers/nats-cluster.ts";
import type { NatsServer } from "../../dev/servers/nats-server.ts";
import { type PostgresServer, startPostgres } from "../../dev/servers/postgres.ts";
import { createSimulator, type Simulator } from "../../dev/simulator/index.ts";
import { type AutoEnforcer, startAutoEnforcer } from "../../dev/testing/auto-enforcer.ts";
import { until } from "../../dev/testing/until.ts";
import { type Config, defaultConfig } from "../../runtime/config/config.ts";
import { startNats, type TestNats } from "../support/servers/nats.ts";
import { startTcpRelay } from "../support/servers/relay.ts";
import { type BridgeProcess, startBridge } from "./bridge-child.ts";
import type { Lead, Stored } from "./checker.ts";
import { openCommitLog } from "./commit-log.ts";
import { followStored, lastStored, type Reader, readLeads, readStored } from "./stored.ts";

const DATABASE = "arvados";
/** Nothing may be pushed out before it has been compared. */
const RECORDS_BYTES = 8 * 1024 ** 3;
const ADMIN = { host: "127.0.0.1", port: 0 };

export type ChaosWorld = AsyncDisposable & {
  config: Config;
  nats: TestNats;
  pool: pg.Pool;
  arvados: Simulator;
  subjectPrefix: string;
  walSenderTimeout: number;
  /** The one that answers at the bridges' address. */
  readonly postgres: PostgresServer;
  enforcer: AutoEnforcer;
  /**
   * `natsUrl`: by another way than the others'. `unfenced`: it publishes without expecting anything. `today`: it routes repeated
   * commits by the present graph.
   */
  bridge(name: string, options?: { natsUrl?: string; unfenced?: boolean; today?: boolean }): BridgeProcess;
  /** The bridges' last log lines. */
  lastWords(): string;
  killPostgres(): Promise<void>;
  /** Another data folder, of a copy of the database, answers at the same address from now on. The old one must not be running. */
  replacePostgres(dataDir: string): Promise<void>;
  /** Stays away for `awayMs`; resolves when it is back, with all that the others have. Default: the first server, back at once. */
  killNats(server?: NatsServer, awayMs?: number): Promise<void>;
  /** RECORDS from its first message on, without the leaders' entries. */
  records(): Promise<Stored[]>;
  leads(): Promise<Lead[]>;
  last(): ReturnType<typeof lastStored>;
  /** A reader that is there from now on. */
  follow(): Promise<Reader>;
};

export type WorldOptions = {
  /** PostgreSQL's `wal_sender_timeout`, ms: a bridge that is stopped for longer loses the slot. Default: its own, a minute. */
  walSenderTimeout?: number;
  /** Every COMMIT waits for the disk. For benchmarks. Default false. */
  durable?: boolean;
  /** The bridge's setting for nats-server's sync_interval, ms. Default 0, so that positions are confirmed after the margin alone. */
  syncInterval?: number;
  /** nats-servers; default 1. */
  servers?: 1 | 3;
};

export async function startChaosWorld(options: WorldOptions = {}): Promise<ChaosWorld> {
  const { walSenderTimeout = 60_000, durable = false, syncInterval = 0, servers = 1 } = options;
  const dir = await mkdtemp(join(tmpdir(), "arvados-nats-chaos-"));
  // PostgreSQL's data is in it, and PostgreSQL may run as another user.
  await chmod(dir, 0o711);
  const dataDir = join(dir, "postgres");
  const bridges: BridgeProcess[] = [];
  const [first, nats] = await Promise.all([
    startPostgres({ dataDir, durable }),
    startNats({ reconnect: true, servers, profile: { recordsBytes: RECORDS_BYTES } }),
  ]);
  // One address for all servers, because one may be down: the client library learns the others once it is connected.
  const service = await startTcpRelay({ to: () => nats.servers.map(({ url }) => Number(new URL(url).port)) });
  let postgres = first;
  const { host, port, user, password } = first;
  const config = defaultConfig({
    clusterId: nats.clusterId,
    natsUrl: servers === 1 ? nats.server.url : `nats://127.0.0.1:${service.port}`,
    postgres: { host, port, dbname: DATABASE, user, password },
    nkeys: { bridge: { CORE: nats.keys.users.bridge.CORE.seed, STORE: nats.keys.users.bridge.STORE.seed } },
    admin: { bridge: ADMIN },
    syncInterval,
  });
  const pool = await openDatabase(postgres, config, walSenderTimeout);
  const arvados = createSimulator({ pool, clusterId: nats.clusterId });
  await openCommitLog(pool);
  await arvados.seed();
  const enforcer = await startAutoEnforcer(nats);
  const reader = await nats.connect("gateway", "STORE", { maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  /** A server that was just killed does not answer; the next look finds it back. */
  const read = <T>(what: string, look: () => Promise<T>) => until(() => look().catch(() => null), what);

  return {
    config,
    nats,
    pool,
    arvados,
    subjectPrefix: nats.subjects.root,
    walSenderTimeout,
    get postgres() {
      return postgres;
    },
    enforcer,
    bridge(name, { natsUrl = config.natsUrl, ...flags } = {}) {
      const file = join(dir, `bridge-${name}.json`);
      writeFileSync(file, JSON.stringify({ ...config, natsUrl }), { mode: 0o600 });
      const made = startBridge(name, [file, JSON.stringify(flags)]);
      bridges.push(made);
      return made;
    },
    lastWords: () => bridges.map(({ name, lines }) => `${name}: ${lines.slice(-3).join(" ")}`).join(" | "),
    async killPostgres() {
      await postgres.kill9();
      postgres = await startPostgres({ dataDir: postgres.dataDir, port, durable });
    },
    async replacePostgres(folder) {
      await postgres.stop();
      postgres = await startPostgres({ dataDir: folder, port, durable });
    },
    async killNats(server = nats.server, awayMs = 0) {
      await server.kill9();
      await delay(awayMs);
      await server.restart();
      if (servers > 1) await healthy(server);
    },
    records: () => read("RECORDS", () => readStored(reader, nats.subjects)),
    leads: () => read("the leaders' entries", () => readLeads(reader, nats.subjects)),
    last: () => lastStored(reader, nats.subjects),
    follow: () => followStored(reader, nats.subjects),
    async [Symbol.asyncDispose]() {
      await Promise.all(bridges.map((bridge) => bridge.stop()));
      await enforcer.close();
      await pool.end();
      await nats[Symbol.asyncDispose]();
      await service[Symbol.asyncDispose]();
      await postgres.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Arvados' database, set up for a bridge. */
async function openDatabase(postgres: PostgresServer, config: Config, walSenderTimeout: number): Promise<pg.Pool> {
  await postgres.createDatabase(DATABASE);
  await createSchema(postgres.url(DATABASE));
  await setupDb(databaseTarget(config), setupNames(config), { dryRun: false, print: () => {} });
  const pool = new pg.Pool({ connectionString: postgres.url(DATABASE), max: 20, connectionTimeoutMillis: 2_000 });
  // When the server is killed the next query reports it, also of a client in use.
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));
  await pool.query(`ALTER SYSTEM SET wal_sender_timeout = ${walSenderTimeout}`);
  await pool.query("SELECT pg_reload_conf()");
  return pool;
}
