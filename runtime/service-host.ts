/** Runs one service with its metrics and admin port, and reports its readiness from the first moment to the last. */
import { startAdminServer } from "./admin-server.ts";
import type { Config } from "./config/config.ts";
import { CONFIG_TABLE, settingName } from "./config/table.ts";
import type { Logger } from "./log/log.ts";
import { createMetrics } from "./metrics.ts";
import type { Scope } from "./scope.ts";
import type { Readiness, Service, ServiceContext } from "./service.ts";

export type ServiceName = keyof Config["admin"];

type HostOptions<S extends Service> = {
  name: ServiceName;
  start: (context: ServiceContext) => Promise<S>;
  config: Config;
  log: Logger;
  /** Closed by the caller once the service has ended: one service, one scope (`scope.child(name)` where several share a process). */
  scope: Scope;
};

export type HostedService<S extends Service = Service> = S & { adminUrl: string };

/** Opens the admin port, then starts the service. Until it works, and from the moment it drains, `/readyz` says so. */
export async function hostService<S extends Service>(options: HostOptions<S>): Promise<HostedService<S>> {
  const { name, start, config, scope } = options;
  const log = options.log.child({ component: name });
  let readiness = (): Readiness => ({ [name]: { ok: false, says: "starting" } });
  const metrics = createMetrics(name);
  const admin = await startAdminServer({
    address: config.admin[name],
    what: `the admin port of ${name}`,
    setting: settingName(CONFIG_TABLE.admin[name]),
    readiness: () => readiness(),
    metrics,
  });
  scope.defer("the admin port", () => admin.close());
  const service = await start({ config, log, metrics, scope });
  const asked = { readiness: service.readiness.bind(service), drain: service.drain.bind(service) };
  readiness = asked.readiness;
  log.info({ admin: admin.url }, "started");
  return Object.assign(service, {
    adminUrl: admin.url,
    readiness: () => readiness(),
    drain() {
      // First, so that no new work is sent to a service that is about to end.
      readiness = () => ({ [name]: { ok: false, says: "draining" } });
      return asked.drain();
    },
  });
}
