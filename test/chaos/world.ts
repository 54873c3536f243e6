/** PostgreSQL, nats-server and bridges, each its own process that can be killed and comes back; and what answers the bridges' barriers. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, nkeyAuthenticator } from "@nats-io/transport-node";
import pg from "pg";
import { databaseTarget, setupNames } from "../../bridge/main.ts";
import { setupDb } from "../../bridge/setup-db.ts";
import { HEADER, type RecordEvent } from "../../core/wire.ts";
import { createSchema } from "../../dev/database.ts";
import { startPostgres } from "../../dev/postgres.ts";
import { createSimulator, type Simulator } from "../../dev/simulator/index.ts";
import { type Config, defaultConfig } from "../../runtime/config.ts";
import { type AutoEnforcer, startAutoEnforcer } from "../support/auto-enforcer.ts";
import { startNats, type TestNats } from "../support/nats.ts";
import { until } from "../support/until.ts";
import type { Stored } from "./checker.ts";
import { openCommitLog } from "./commit-log.ts";

const PROCESS = fileURLToPath(new URL("./bridge-process.ts", import.meta.url));
const DATABASE = "arvados";
/** Nothing may be pushed out before it has been compared. */
const RECORDS_BYTES = 8 * 1024 ** 3;
const ADMIN = { host: "127.0.0.1", port: 0 };

export type BridgeProcess = {
  readonly name: string;
  readonly pid: number;
  /** What it said, a JSON line each. */
  readonly lines: string[];
  signal(signal: NodeJS.Signals): void;
  /** SIGKILL; it comes back at once. */
  kill9(): void;
  /** Ends it for good. */
  stop(): Promise<void>;
};

export type World = AsyncDisposable & {
  config: Config;
  nats: TestNats;
  pool: pg.Pool;
  arvados: Simulator;
  subjectPrefix: string;
  enforcer: AutoEnforcer;
  bridge(name: string, flag?: "unfenced" | "today"): BridgeProcess;
  killPostgres(): Promise<void>;
  killNats(): Promise<void>;
  /** RECORDS from its first message on, without the leaders' entries. */
  records(): Promise<Stored[]>;
};

export type WorldOptions = {
  /** By ALTER SYSTEM. */
  postgres?: Record<string, string>;
  /** What nats-server is said to sync within, ms. Default 0, so that positions are confirmed after the margin alone. */
  syncInterval?: number;
};

export async function startWorld({ postgres: settings = {}, syncInterval = 0 }: WorldOptions = {}): Promise<World> {
  const dir = await mkdtemp(join(tmpdir(), "arvados-nats-chaos-"));
  const dataDir = join(dir, "postgres");
  const bridges: BridgeProcess[] = [];
  const [first, nats] = await Promise.all([
    startPostgres({ dataDir }),
    startNats({ reconnect: true, profile: { recordsBytes: RECORDS_BYTES } }),
  ]);
  let postgres = first;
  const { host, port, user, password } = first;
  const config = defaultConfig({
    clusterId: nats.clusterId,
    natsUrl: nats.server.url,
    postgres: { host, port, dbname: DATABASE, user, password },
    nkeys: { bridge: { CORE: nats.keys.users.bridge.CORE.seed, STORE: nats.keys.users.bridge.STORE.seed } },
    admin: { bridge: ADMIN },
    syncInterval,
  });
  await postgres.createDatabase(DATABASE);
  await createSchema(postgres.url(DATABASE));
  await setupDb(databaseTarget(config), setupNames(config), { dryRun: false, print: () => {} });
  const pool = new pg.Pool({ connectionString: postgres.url(DATABASE), max: 20, connectionTimeoutMillis: 2_000 });
  // A killed server: the next query tells, of a client in use too.
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));
  for (const [name, value] of Object.entries(settings)) {
    await pool.query(`ALTER SYSTEM SET ${name} = ${pg.escapeLiteral(value)}`);
  }
  await pool.query("SELECT pg_reload_conf()");
  const arvados = createSimulator({ pool, clusterId: nats.clusterId });
  await openCommitLog(pool);
  await arvados.seed();
  const configFile = join(dir, "bridge.json");
  await writeFile(configFile, JSON.stringify(config), { mode: 0o600 });
  const enforcer = await startAutoEnforcer(nats);
  const reader = await connect({
    servers: nats.server.url,
    authenticator: nkeyAuthenticator(new TextEncoder().encode(nats.keys.users.gateway.STORE.seed)),
    inboxPrefix: "_INBOX.gateway",
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
  });

  return {
    config,
    nats,
    pool,
    arvados,
    subjectPrefix: nats.subjects.root,
    enforcer,
    bridge(name, flag) {
      const made = startBridge(name, [configFile, ...(flag ? [flag] : [])]);
      bridges.push(made);
      return made;
    },
    async killPostgres() {
      await postgres.kill9();
      postgres = await startPostgres({ dataDir, port });
    },
    async killNats() {
      await nats.server.kill9();
      await nats.server.restart();
    },
    // A server that was just killed does not answer; the next look finds it back.
    records: () => until(() => readRecords(reader, nats.subjects.recordsAll).catch(() => null), "RECORDS", 30_000),
    async [Symbol.asyncDispose]() {
      await Promise.all(bridges.map((bridge) => bridge.stop()));
      await enforcer.close();
      await reader.close();
      await pool.end();
      await nats[Symbol.asyncDispose]();
      await postgres.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function startBridge(name: string, args: string[]): BridgeProcess {
  const lines: string[] = [];
  let child: ChildProcess;
  let stopped = false;
  let ended: Promise<void>;
  const launch = () => {
    child = spawn(process.execPath, ["--import", "tsx", PROCESS, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        lines.push(...text.split("\n").filter((line) => line !== ""));
      });
    }
    ended = new Promise((resolve) => {
      child.once("close", () => {
        if (stopped) return resolve();
        launch();
        resolve();
      });
    });
  };
  launch();
  return {
    name,
    get pid() {
      return child.pid ?? -1;
    },
    lines,
    signal: (signal) => void child.kill(signal),
    kill9: () => void child.kill("SIGKILL"),
    async stop() {
      stopped = true;
      child.kill("SIGKILL");
      child.kill("SIGCONT");
      await ended;
    },
  };
}

async function readRecords(nc: Awaited<ReturnType<typeof connect>>, filter: string): Promise<Stored[]> {
  const jsm = await jetstreamManager(nc);
  const { state } = await jsm.streams.info("RECORDS");
  const stored: Stored[] = [];
  if (state.messages === 0) return stored;
  const consumer = await jetstream(nc).consumers.get("RECORDS", { filter_subjects: filter });
  for (let left = (await consumer.info()).num_pending; left > 0; ) {
    const messages = await consumer.fetch({ max_messages: Math.min(left, 5_000), expires: 5_000 });
    for await (const message of messages) {
      left--;
      const header = (name: string) => message.headers?.get(name) ?? "";
      const { object_uuid, event_type } = message.json<RecordEvent>();
      stored.push({
        sequence: message.seq,
        subject: message.subject,
        lsn: header(HEADER.lsn),
        eventId: header(HEADER.eventId),
        part: header(HEADER.part),
        object: object_uuid,
        type: event_type,
      });
    }
  }
  return stored;
}
