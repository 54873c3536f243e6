/**
 * A PostgreSQL of our own for the demo and the tests: loopback only, a port and a process of its own, gone when stopped.
 *
 *     await using pg = await startPostgres();
 *     await pg.createDatabase("arvados");
 *     new Client({ connectionString: pg.url("arvados") });
 *
 * It is quick and forgetful: fsync is off unless it is asked to be durable, so the data survives `kill -9` of PostgreSQL but not a power cut.
 * **When we are killed** (`kill -9`, a crash) a small shell, the *minder*, sees the pipe from us close, ends PostgreSQL and removes
 * a temporary data folder. Something stays only when the minder is killed as well (PostgreSQL's process and folder) or when we are
 * killed before it runs, in the first fraction of a second (the folder). The folder is `arvados-nats-postgres-*` below the temporary
 * folder or /dev/shm; it is safe to remove.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import pg from "pg";
import { fault } from "../../core/errors.ts";
import { freePorts, isFree } from "./free-ports.ts";
import { dataFolder, ENVIRONMENT, fillDataFolder, USER } from "./postgres-data.ts";
import { killTree } from "./postgres-kill.ts";
import { type Binaries, binariesFor, postgresUser, type RunAs } from "./postgres-place.ts";

const run = promisify(execFile);

const HOST = "127.0.0.1";
/** ms that a fast shutdown may take. A walsender waits for its reader, which may confirm late or never; then the shutdown is forced. */
const FAST_SHUTDOWN = 2_000;
/** Tries with another free port, when another process takes the port before PostgreSQL binds it. */
const PORT_TRIES = 5;

type PostgresOptions = {
  /** Kept after `stop()`, started again from where it was. Default: a fresh temporary folder, removed by `stop()`. */
  dataDir?: string;
  /** Without dataDir: the temporary folder lies in memory (/dev/shm) where there is room. For tests, which write little. */
  inMemory?: boolean;
  /** Does not keep this process alive, and ends with it by the minder. Default false. */
  inBackground?: boolean;
  /** Default: a free one. */
  port?: number;
  /** The setting that chooses another port, for the fault when `port` is taken. */
  portSetting?: string;
  /** Default `logical`. */
  walLevel?: "logical" | "replica";
  /** Every COMMIT waits for the disk. For benchmarks. Default false. */
  durable?: boolean;
  /** PostgreSQL's own log, a line at a time. */
  log?: (line: string) => void;
};

export type PostgresServer = {
  readonly host: "127.0.0.1";
  readonly port: number;
  /** The postmaster's. */
  readonly pid: number;
  readonly user: string;
  readonly password: string;
  readonly dataDir: string;
  readonly version: string;
  /** Resolves when the server's process has ended, for whatever reason. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** `postgresql://...`: a superuser's, for `database`. */
  url(database: string): string;
  createDatabase(name: string, options?: { template?: string }): Promise<void>;
  /** Ends its sessions and replication slots first. */
  dropDatabase(name: string): Promise<void>;
  /** Ends it, and removes a temporary data folder. Also after `kill9`; again is harmless. */
  stop(): Promise<void>;
  /** SIGKILL to every process of it, as a machine's crash would look to clients; the data folder stays. */
  kill9(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const as = await postgresUser();
  const binaries = await binariesFor(as);
  const { dataDir, temporary } = await dataFolder(options, as);
  try {
    const password = await fillDataFolder(dataDir, binaries, as);
    return await launch({ ...options, as, binaries, dataDir, temporary, password });
  } catch (error) {
    if (temporary) await rm(dataDir, { recursive: true, force: true });
    throw error;
  }
}

type Launch = PostgresOptions & {
  as: RunAs;
  binaries: Binaries;
  dataDir: string;
  temporary: boolean;
  password: string;
};

async function launch(launch: Launch): Promise<PostgresServer> {
  const occupied = (port: number, cause?: unknown) =>
    fault(
      "port.occupied",
      { what: "PostgreSQL", address: `${HOST}:${port}`, setting: launch.portSetting ?? "the option `port`" },
      { cause },
    );
  if (launch.port !== undefined) {
    if (!(await isFree(launch.port))) throw occupied(launch.port);
    const started = await start(launch, launch.port);
    if (started === "port in use") throw occupied(launch.port);
    return started;
  }
  for (let tries = 0; tries < PORT_TRIES; tries++) {
    const [port = 0] = await freePorts(1);
    const started = await start(launch, port);
    if (started !== "port in use") return started;
  }
  throw new Error(`PostgreSQL found no free port in ${PORT_TRIES} tries`);
}

async function start(launch: Launch, port: number): Promise<PostgresServer | "port in use"> {
  const child = spawn(launch.binaries.postgres, ["-D", launch.dataDir, ...settings(port, launch)], {
    ...launch.as,
    cwd: "/",
    env: ENVIRONMENT,
    // A session of its own: Ctrl-C is for us, who then stop it in order.
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = ended(child);
  const lines: string[] = [];
  const ready = new Promise<void>((done) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      launch.log?.(line);
      // A standby says "read-only connections".
      if (/database system is ready to accept .*connections/.test(line)) done();
      if (lines.push(line) > 30) lines.shift();
    });
  });
  const pid = child.pid;
  if (pid === undefined) throw new Error(`PostgreSQL cannot be started: ${(await exited).error ?? "no process"}`);
  const minder = mind(pid, launch.temporary ? launch.dataDir : "");
  const early = await Promise.race([ready, exited]);
  if (early !== undefined) {
    await minder.dismiss();
    if (lines.some((line) => /could not bind .*address already in use/i.test(line))) return "port in use";
    const telling = lines.filter((line) => /FATAL|ERROR|HINT|DETAIL/.test(line));
    const reasons = (telling.length > 0 ? telling : lines).join(" · ") || "no reason given";
    throw new Error(`PostgreSQL ended while it started (${early.code ?? early.signal}): ${reasons}`);
  }
  if (launch.inBackground) {
    child.unref();
    (child.stderr as Socket).unref();
  }
  return server(launch, { port, pid, child, exited, minder });
}

function settings(port: number, { walLevel = "logical", durable = false }: PostgresOptions): string[] {
  const values: Record<string, string | number> = {
    port,
    listen_addresses: HOST,
    unix_socket_directories: "",
    wal_level: walLevel,
    max_wal_senders: 32,
    max_replication_slots: 32,
    max_connections: 200,
    timezone: "UTC",
    log_timezone: "UTC",
    fsync: durable ? "on" : "off",
    // Shared memory in the data folder: nothing stays in /dev/shm after kill -9.
    dynamic_shared_memory_type: "mmap",
  };
  return Object.entries(values).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

type Exit = { code: number | null; signal: NodeJS.Signals | null; error?: string };

function ended(child: ChildProcess): Promise<Exit> {
  return new Promise((done) => {
    // "close", not "exit": the log has then been read to its end.
    child.once("close", (code, signal) => done({ code, signal }));
    child.once("error", (error) => done({ code: null, signal: null, error: error.message }));
  });
}

/**
 * The minder lives as long as the pipe from us. A line `done` sends it away; the end of the pipe without one means that we died.
 */
const MINDER = `
read -r word
[ "$word" = done ] && exit 0
kill -INT "$1" 2>/dev/null
n=0
while kill -0 "$1" 2>/dev/null; do
  n=$((n + 1)); [ $n = 30 ] && kill -QUIT "$1" 2>/dev/null
  sleep 0.1
done
[ -n "$2" ] && rm -rf "$2"
`;

function mind(pid: number, temporaryFolder: string): { dismiss(): Promise<void> } {
  const minder = spawn("/bin/sh", ["-c", MINDER, "arvados-nats-minder", String(pid), temporaryFolder], {
    cwd: "/",
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  const gone = ended(minder);
  const pipe = minder.stdin as Socket;
  pipe.on("error", () => {}); // It was killed: there is nobody left to dismiss.
  // It must not keep us alive, for it waits for our end.
  minder.unref();
  pipe.unref();
  return {
    async dismiss() {
      minder.ref();
      pipe.ref();
      pipe.end("done\n");
      await gone;
    },
  };
}

type Running = {
  port: number;
  pid: number;
  child: ChildProcess;
  exited: Promise<Exit>;
  minder: { dismiss(): Promise<void> };
};

function server({ dataDir, temporary, password, binaries }: Launch, running: Running): PostgresServer {
  const { port, pid, child, exited, minder } = running;
  const url = (database: string) => `postgresql://${USER}:${password}@${HOST}:${port}/${encodeURIComponent(database)}`;
  const alive = () => child.exitCode === null && child.signalCode === null;

  async function query(work: (client: pg.Client) => Promise<unknown>): Promise<void> {
    const client = new pg.Client({ connectionString: url("postgres") });
    client.on("error", () => {}); // Told by the query that fails.
    await client.connect();
    try {
      await work(client);
    } finally {
      await client.end();
    }
  }

  async function end(): Promise<void> {
    if (alive()) {
      // What is thrown away needs no checkpoint: SIGQUIT ends at once.
      child.kill(temporary ? "SIGQUIT" : "SIGINT");
      const patience = setTimeout(() => child.kill("SIGQUIT"), FAST_SHUTDOWN);
      await exited;
      clearTimeout(patience);
    }
    await minder.dismiss();
    if (temporary) {
      await forgetSharedMemory(dataDir);
      await rm(dataDir, { recursive: true, force: true });
    }
  }

  let stopping: Promise<void> | undefined;
  const stop = () => (stopping ??= end());
  return {
    host: HOST,
    port,
    pid,
    user: USER,
    password,
    dataDir,
    version: binaries.version,
    exited,
    url,
    createDatabase: (name, { template } = {}) =>
      query((client) => {
        const from = template === undefined ? "" : ` TEMPLATE ${pg.escapeIdentifier(template)}`;
        return client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}${from}`);
      }),
    dropDatabase: (name) =>
      query(async (client) => {
        await dropSlots(client, name);
        await client.query(`DROP DATABASE IF EXISTS ${pg.escapeIdentifier(name)} WITH (FORCE)`);
      }),
    stop,
    async kill9() {
      if (alive()) await killTree(pid);
      await exited;
    },
    [Symbol.asyncDispose]: stop,
  };
}

/** A database with a replication slot cannot be dropped, a slot with a reader neither: the reader's session goes first. */
async function dropSlots(client: pg.Client, database: string): Promise<void> {
  await client.query(
    `SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE database = $1 AND active_pid IS NOT NULL`,
    [database],
  );
  await client.query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1", [
    database,
  ]);
}

/** After kill -9 a 56-byte System V segment stays, which the next start on the same folder would have removed. */
async function forgetSharedMemory(dataDir: string): Promise<void> {
  const pidFile = await readFile(join(dataDir, "postmaster.pid"), "utf8").catch(() => "");
  const id = pidFile.split("\n")[6]?.trim().split(/\s+/)[1];
  if (id !== undefined) await run("ipcrm", ["-m", id]).catch(() => {}); // Already gone, or no ipcrm here.
}
