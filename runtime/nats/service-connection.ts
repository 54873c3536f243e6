/** The connection of a service in one account: with its nkey from the configuration and its own inbox, closed with the scope. */
import type { NatsConnection } from "@nats-io/nats-core";
import { type AccountOf, type NatsServiceName, serviceInbox } from "../../streams-config/accounts.ts";
import type { Config } from "../config/config.ts";
import type { Logger } from "../log/log.ts";
import type { Scope } from "../scope.ts";
import { connectNats } from "./connection.ts";

type ServiceConnectionOptions<S extends NatsServiceName> = {
  config: Config;
  service: S;
  account: AccountOf<S>;
  log: Logger;
  scope: Scope;
  /** For commands that only read or repair: a server that is too old is accepted. */
  anyVersion?: boolean;
};

/** @throws nats.unreachable, nats.refused, nats.untrusted, nats.no_tls, nats.too_old */
export async function connectService<S extends NatsServiceName>(
  options: ServiceConnectionOptions<S>,
): Promise<NatsConnection> {
  const { config, service, account, log, scope, anyVersion = false } = options;
  const connection = await connectNats({
    url: config.natsUrl,
    seed: (config.nkeys[service] as Record<string, string>)[account] ?? "",
    account,
    name: `arvados-nats ${service}`,
    inboxPrefix: serviceInbox(service),
    log,
    anyVersion,
  });
  return scope.use(`the connection in ${account}`, connection, (it) => it.close());
}
