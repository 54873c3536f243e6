/**
 * The whole product on one host: PostgreSQL with Arvados' tables, nats-server, and every service, on free loopback ports.
 * The demo, the smoke run, benches and the end-to-end tests start it. Everything is released with the scope that they pass.
 */
import { type AuthcalloutSeams, runAuthcallout } from "../authcallout/main.ts";
import type { Guards } from "../bridge/guards.ts";
import { runBridge } from "../bridge/main.ts";
import { type ProxyExtras, runProxy } from "../proxy/main.ts";
import { isReady } from "../runtime/admin-server.ts";
import type { Config } from "../runtime/config/config.ts";
import type { Service, ServiceContext } from "../runtime/service.ts";
import { type HostedService, hostService, type ServiceName } from "../runtime/service-host.ts";
import { sleep } from "../runtime/sleep.ts";
import { type BackendOptions, type Backends, type Step, startBackends, stepTimer } from "./backends.ts";
import { type DemoCluster, seedDemo } from "./seed.ts";

export type StackOptions = BackendOptions & {
  proxy?: (stack: Pick<Stack, "arvados" | "cluster">) => Promise<ProxyExtras>;
  bridge?: Partial<Guards>;
  authcallout?: AuthcalloutSeams;
};

export type Stack = Backends & {
  cluster: DemoCluster;
  services: Record<ServiceName, HostedService>;
  /** Drains a service and releases what it holds, as SIGTERM would. */
  endService(name: ServiceName): Promise<void>;
  /** Where browsers go. */
  url: string;
};

const READY_POLL_MS = 10;

export async function startStack(options: StackOptions): Promise<Stack> {
  const step = stepTimer(options.onStep);
  const backends = await startBackends(options);
  const { config, arvados } = backends;
  const cluster = await step("a cluster with alice, bob and a running container", async () => {
    await arvados.seed();
    return seedDemo(arvados);
  });
  const running = await startServices(options, config, step, { arvados, cluster });
  return { ...backends, cluster, ...running };
}

/** Starts the services one after the other, each once the one before it is ready. */
async function startServices(
  options: StackOptions,
  config: Config,
  step: Step,
  demo: Pick<Stack, "arvados" | "cluster">,
): Promise<Pick<Stack, "services" | "endService" | "url">> {
  const { scope, log } = options;
  const releases = new Map<ServiceName, () => Promise<void>>();
  const host = <S extends Service>(name: ServiceName, start: (context: ServiceContext) => Promise<S>) =>
    step(name, async () => {
      const own = scope.child(name);
      const service = await hostService({ name, start, config, log, scope: own });
      releases.set(name, () => service.drain().then(() => own.close()));
      while (!isReady(service.readiness())) await sleep(READY_POLL_MS, scope.signal);
      return service;
    });
  const bridge = await host("bridge", (context) => runBridge(context, options.bridge));
  const authcallout = await host("authcallout", (context) => runAuthcallout(context, options.authcallout));
  const extras = (await options.proxy?.(demo)) ?? {};
  const proxy = await host("proxy", (context) => runProxy(context, extras));
  const endService = async (name: ServiceName) => releases.get(name)?.();
  return { services: { bridge, authcallout, proxy }, endService, url: proxy.url };
}
