/** Several nats-servers on loopback that form one cluster, each its own process that can be killed, stopped and started again. */
import { setTimeout as delay } from "node:timers/promises";
import { fault } from "../../core/errors.ts";
import { freePorts } from "./free-ports.ts";
import { type LaunchConf, type NatsServer, startNatsServer } from "./nats-server.ts";

type NatsCluster = AsyncDisposable & {
  /** In the order of their names, `n1` first. */
  readonly servers: readonly NatsServer[];
  /** All of them, for a client's `servers`. */
  readonly urls: string[];
  stop(): Promise<void>;
};

const HEALTHY_MS = 30_000;
const POLL_MS = 50;

/** Resolves once every server reports that it is healthy: JetStream has a leader, and the server knows it. */
export async function startNatsCluster(
  conf: Omit<LaunchConf, "cluster" | "serverName">,
  size = 3,
  { advertise = false } = {},
): Promise<NatsCluster> {
  const routes = await freePorts(size);
  // A server that waits for the others' ports must not keep them from starting.
  const started = await Promise.allSettled(
    routes.map((port, index) =>
      startNatsServer({
        conf: {
          ...conf,
          serverName: `n${index + 1}`,
          ports: { ...conf.ports, monitor: -1 },
          cluster: { name: `arvados-nats-${conf.clusterId}`, port, routes, advertise },
        },
      }),
    ),
  );
  const servers = started.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
  const stop = async () => void (await Promise.all(servers.map((server) => server.stop())));
  const failed = started.find((outcome) => outcome.status === "rejected");
  if (failed) {
    await stop();
    throw failed.reason;
  }
  await Promise.all(servers.map(healthy)).catch(async (error) => {
    await stop();
    throw error;
  });
  return {
    servers,
    get urls() {
      return servers.map(({ url }) => url);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Resolves once the server reports that it is healthy: its streams are as far as their leaders'. */
export async function healthy(server: NatsServer): Promise<void> {
  for (const end = performance.now() + HEALTHY_MS; performance.now() < end; await delay(POLL_MS)) {
    const answer = await fetch(`${server.monitorUrl}/healthz`).catch(() => null);
    if (answer?.ok) return;
  }
  throw fault("nats.unreachable", { url: server.url, reason: `not healthy after ${HEALTHY_MS / 1000} s` });
}
