/** `bridge`, `authcallout`, `proxy`: run one service in this process until it ends or a signal comes. */
import { setFlagsFromString } from "node:v8";
import type { Command } from "commander";
import { runService } from "../../runtime/lifecycle.ts";
import type { StartService } from "../../runtime/service.ts";
import { hostService, type ServiceName } from "../../runtime/service-host.ts";
import { type CliContext, examples, logFor, readConfig } from "../support/context.ts";

type Declared = { load: () => Promise<StartService>; summary: string; description: string; example: [string, string] };

const SERVICES: Record<ServiceName, Declared> = {
  bridge: {
    load: async () => (await import("../../bridge/main.ts")).runBridge,
    summary: "PostgreSQL to JetStream: record events and the permission graph",
    description: `Follows Arvados' database by logical replication and publishes what changed: the permission graph first, then the events. One bridge works at a time; others wait for the replication slot and take over. Needs \`setup-db\` and \`streams apply\` once before.`,
    example: ["arvados-nats bridge --config /etc/arvados/config.yml --settings /etc/arvados-nats.yml", "on any host"],
  },
  authcallout: {
    load: async () => (await import("../../authcallout/main.ts")).runAuthcallout,
    summary: "logs nats-server's users in with Arvados tokens, and cuts sessions whose rights shrank",
    description:
      "Answers nats-server's auth callout from the permission graph in memory, and ends sessions as soon as their rights shrink. Several may run: they share the logins, and one of them cuts for all.",
    example: ["ARVADOS_NATS_ISSUER_SEED_FILE=/run/secrets/issuer arvados-nats authcallout", "secrets from files"],
  },
  proxy: {
    load: async () => (await import("../../proxy/main.ts")).runProxy,
    summary: "the edge for browsers and the gateway for history and logs",
    description:
      "Serves WebSocket clients at /nats, discovery at /.well-known/arvados-nats, and the gateway's verbs (whoami, tail) to every session. Several may run.",
    example: ["ARVADOS_NATS_LISTEN=:8470 arvados-nats proxy --config /etc/arvados/config.yml", "on every interface"],
  },
};

export function addServiceCommands(program: Command, context: CliContext): void {
  for (const name of Object.keys(SERVICES) as ServiceName[]) {
    const { load, summary, description, example } = SERVICES[name];
    program
      .command(name)
      .summary(summary)
      .description(description)
      .addHelpText(
        "after",
        examples(example, [
          `ARVADOS_NATS_ADMIN_${name.toUpperCase()}=:9000 arvados-nats ${name}`,
          "/livez /readyz /metrics",
        ]),
      )
      .action(async (_options: object, command: Command) => {
        // There is little young garbage here, and parallel scavenging costs more than it frees (a third of a login's processor time).
        setFlagsFromString("--no-parallel-scavenge");
        const loaded = readConfig(context, command, name);
        const log = logFor(context, loaded);
        const start = await load();
        context.exitCode = await runService({
          name,
          log,
          signals: context.signals,
          start: (scope) => hostService({ name, start, config: loaded.config, log, scope }),
        });
      });
  }
}
