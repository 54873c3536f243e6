/** What `bench:bridge` measures: PostgreSQL, nats-server and a bridge, each a process, a load of commits, and subscribers in this one. */
import { readFile } from "node:fs/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { subjectsOf } from "../../core/subjects.ts";
import { startBackends } from "../../dev/backends.ts";
import { freePorts } from "../../dev/servers/free-ports.ts";
import { startAutoEnforcer } from "../../dev/testing/auto-enforcer.ts";
import { environmentOf } from "../../dev/testing/environment.ts";
import { until } from "../../dev/testing/until.ts";
import type { Config } from "../../runtime/config/config.ts";
import { silentLog } from "../../runtime/log/log.ts";
import { connectService } from "../../runtime/nats/service-connection.ts";
import { createScope } from "../../runtime/scope.ts";
import { createLoad, type Load } from "../support/commit-load.ts";
import { type RunningProgram, startProgram } from "../support/processes.ts";

export type BridgeBench = AsyncDisposable & {
  load: Load;
  /** Of the database, as the bridge's role. */
  url: string;
  pause(): void;
  goOn(): void;
  /** Ends the bridge; PostgreSQL keeps what it has not had. */
  stop(): Promise<void>;
  /** Starts it again; resolves once it has worked off what was kept. */
  start(): Promise<void>;
  /** Resolves when RECORDS has not grown for a while. */
  settled(): Promise<void>;
  /**
   * As browsers get it, but straight from RECORDS' account: the callout is not what is measured.
   * @param onEvent called by each of them with the object of each event
   */
  subscribe(count: number, onEvent: (object: string) => void): Promise<AsyncDisposable>;
  /** The greatest age of the graph (seconds) while the work lasts, and until it is young again. */
  greatestAge(work: () => Promise<unknown>): Promise<number>;
  /** Of the bridge, MiB: at its peak, and now. */
  memory(field: "VmHWM" | "VmRSS"): Promise<number>;
};

const IDLE_MS = 300;
/** No event may be pushed out of RECORDS while it is measured. */
const RECORDS_BYTES = 8 * 1024 ** 3;

export async function startBridgeBench(): Promise<BridgeBench> {
  const scope = createScope();
  const log = silentLog();
  const [port = 0] = await freePorts(1);
  const { config, arvados } = await startBackends({
    scope,
    log,
    durable: true,
    streams: { recordsBytes: RECORDS_BYTES },
    overrides: { admin: { bridge: { host: "127.0.0.1", port } }, syncInterval: 0 },
  });
  await arvados.seed();
  const subjects = subjectsOf(config.clusterId);
  const connect = (account: "CORE" | "STORE") => connectService({ config, service: "gateway", account, log, scope });
  const enforcer = await startAutoEnforcer({
    subjects,
    connect: (service, account) => connectService({ config, service, account, log, scope }),
  });
  scope.defer("enforcer", () => enforcer.close());
  const { host, port: postgresPort, user: role, password, dbname } = config.postgres;
  const url = `postgresql://${role}:${password}@${host}:${postgresPort}/${dbname}`;
  const observer = await jetstreamManager(await connect("STORE"));
  const lastSequence = async () => (await observer.streams.info("RECORDS")).state.last_seq;
  let bridge: RunningProgram;
  const start = async () => {
    bridge = await startLeader(config, port);
    await settled();
  };
  async function settled(): Promise<void> {
    let [before, since] = [await lastSequence(), performance.now()];
    const isIdle = async () => {
      const now = await lastSequence();
      if (now !== before) since = performance.now();
      before = now;
      return performance.now() - since > IDLE_MS;
    };
    await until(isIdle, "the bridge to be idle", 120_000);
  }

  await start();
  scope.defer("bridge", () => bridge.stop());
  const { uuid: user } = await arvados.createUser({ username: "bench" });
  const { uuid: project } = await arvados.createProject({ name: "bench", owner: user });
  const load = await createLoad(url, project);
  return {
    load,
    url,
    pause: () => void process.kill(bridge.pid, "SIGSTOP"),
    goOn: () => void process.kill(bridge.pid, "SIGCONT"),
    stop: () => bridge.stop(),
    start,
    settled,
    async subscribe(count, onEvent) {
      const subscribers: NatsConnection[] = [];
      // One after the other: each login costs this process a signature, which takes some milliseconds.
      for (let i = 0; i < count; i++) {
        const nc = await connect("STORE");
        nc.subscribe(`${subjects.root}.live.>`, {
          callback: (_error, { subject }) => onEvent(subject.split(".").at(-2) ?? ""),
        });
        await nc.flush();
        subscribers.push(nc);
      }
      return {
        async [Symbol.asyncDispose]() {
          await Promise.all(subscribers.map((nc) => nc.close()));
        },
      };
    },
    async greatestAge(work) {
      const core = await connect("CORE");
      let beat = Date.now();
      core.subscribe(subjects.graphBeat, {
        callback: (_error, message) => {
          beat = message.json<{ time: number }>().time;
        },
      });
      let greatest = 0;
      const looking = setInterval(() => {
        greatest = Math.max(greatest, Date.now() - beat);
      }, 20);
      await work();
      const done = Date.now();
      await until(() => beat >= done, "a beat behind it", 120_000);
      clearInterval(looking);
      await core.close();
      return greatest / 1_000;
    },
    async memory(field) {
      const status = await readFile(`/proc/${bridge.pid}/status`, "utf8");
      return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;
    },
    async [Symbol.asyncDispose]() {
      await load.close();
      await scope.close();
    },
  };
}

/** Resolves once it leads. */
function startLeader(config: Config, port: number): Promise<RunningProgram> {
  return startProgram(process.execPath, ["--import", "tsx", "cli/main.ts", "bridge"], {
    env: environmentOf(config),
    until: async () => (await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null))?.ok ?? false,
  });
}
