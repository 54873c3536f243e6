/** What `bench:bridge` measures: PostgreSQL, nats-server and a bridge, each a process, a load of commits, and subscribers in this one. */
import { readFile } from "node:fs/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { until } from "../dev/testing/until.ts";
import type { BridgeProcess } from "../test/chaos/bridge-child.ts";
import { startChaosWorld } from "../test/chaos/world.ts";
import { createLoad, type Load } from "./commit-load.ts";

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
  /** Resolves when nothing has come for a while. */
  settled(): Promise<void>;
  /**
   * As browsers get it, but straight from RECORDS' account: the callout is not what is measured.
   * @param onEvent told by each of them of each event's object
   */
  subscribe(count: number, onEvent: (object: string) => void): Promise<AsyncDisposable>;
  /** The greatest age of the graph (seconds) while the work lasts, and until it is young again. */
  greatestAge(work: () => Promise<unknown>): Promise<number>;
  /** Of the bridge, MiB: what it holds, and what it held at its peak. */
  memory(field: "VmHWM" | "VmRSS"): Promise<number>;
};

const IDLE_MS = 300;

export async function startBridgeBench(): Promise<BridgeBench> {
  const world = await startChaosWorld({ durable: true });
  const { host, port, user: role, password, dbname } = world.config.postgres;
  const url = `postgresql://${role}:${password}@${host}:${port}/${dbname}`;
  const observer = await jetstreamManager(await world.nats.connect("gateway", "STORE"));
  const lastSequence = async () => (await observer.streams.info("RECORDS")).state.last_seq;
  let bridge: BridgeProcess;
  const start = async () => {
    bridge = world.bridge("bench");
    await until(() => bridge.leads(), "the bridge to lead", 30_000);
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
  const { uuid: user } = await world.arvados.createUser({ username: "bench" });
  const { uuid: project } = await world.arvados.createProject({ name: "bench", owner: user });
  const load = await createLoad(url, project);
  return {
    load,
    url,
    pause: () => bridge.signal("SIGSTOP"),
    goOn: () => bridge.signal("SIGCONT"),
    stop: () => bridge.stop(),
    start,
    settled,
    async subscribe(count, onEvent) {
      const subscribers: NatsConnection[] = [];
      // One after the other: each signs in with a signature of its own, which takes this process some milliseconds.
      for (let i = 0; i < count; i++) {
        const nc = await world.nats.connect("gateway", "STORE");
        nc.subscribe(`${world.subjectPrefix}.live.>`, {
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
      const core = await world.nats.connect("gateway", "CORE");
      let beat = Date.now();
      core.subscribe(`${world.subjectPrefix}.beat`, {
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
      await world[Symbol.asyncDispose]();
    },
  };
}
