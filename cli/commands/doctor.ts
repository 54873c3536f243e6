/** `doctor`: checks PostgreSQL and nats-server. The first command to run when something is wrong. */
import type { Command } from "commander";
import { Fault, reasonOf } from "../../core/errors.ts";
import type { Config } from "../../runtime/config/config.ts";
import { arvadosSection } from "../../runtime/config/sources.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { createScope } from "../../runtime/scope.ts";
import { declaredStreams } from "../../streams-config/streams.ts";
import { AUDIT_DEFAULTS, type AuditFacts } from "../doctor/audit.ts";
import { type Finding, formatFindings, isBad, problem } from "../doctor/finding.ts";
import { type CliContext, configFileOf, examples, logFor, print, readConfig } from "../support/context.ts";
import { type Profile, profileOption } from "./streams.ts";

type Options = { profile: Profile; json?: boolean };

export function addDoctorCommand(program: Command, context: CliContext): void {
  program
    .command("doctor")
    .summary("check PostgreSQL and nats-server, and say what is wrong and what to do")
    .description(
      `Check Arvados' database and nats-server as the bridge sees them, with its role and its nkeys: that they answer and are new enough, wal_level, tables and grants, publications and their columns, the replication slot and the WAL that it keeps, JetStream's strict mode, every stream as it is declared, clocks, and whether Arvados writes its audit log (with --config). Changes nothing.

One line for each check: ok, warn (works, but needs attention), bad, or unknown (could not be checked); below it what to do. Ends with 1 if anything is bad. Run it where the bridge runs, with the bridge's settings. What it does not check: the other services (their /readyz), and whether a login works (\`probe\`).`,
    )
    .addOption(profileOption())
    .option("--json", "as JSON: [{name, state, saw, todo}]")
    .addHelpText(
      "after",
      examples(
        ["arvados-nats doctor --config /etc/arvados/config.yml --settings /etc/arvados-nats/settings.yml", "check"],
        ["kubectl exec deploy/events-arvados-nats-bridge -- node bin/arvados-nats.js doctor", "in Kubernetes"],
        ["arvados-nats doctor --json | jq '.[] | select(.state == \"bad\")'", "for a program"],
      ),
    )
    .action(async ({ profile, json }: Options, command: Command) => {
      const loaded = readConfig(context, command, "bridge");
      const audit = auditConfig(configFileOf(context, command), loaded.config.clusterId);
      const findings = [
        ...(await aboutDatabase(loaded.config, audit)),
        ...(await aboutNats(loaded.config, logFor(context, loaded), profile)),
      ];
      print(context, json ? JSON.stringify(findings, null, 2) : formatFindings(findings, context));
      context.exitCode = isBad(findings) ? 1 : 0;
    });
}

async function aboutDatabase(config: Config, audit: AuditFacts["config"]): Promise<Finding[]> {
  const [{ databaseTarget, setupNames }, { readDatabase }, { databaseFindings }] = await Promise.all([
    import("../../bridge/main.ts"),
    import("../doctor/read-database.ts"),
    import("../doctor/database.ts"),
  ]);
  const target = databaseTarget(config);
  const names = setupNames(config);
  const question = {
    address: `${target.host}:${target.port}/${target.database}`,
    database: target.database,
    role: config.postgres.user,
    schema: config.replication.schema,
    names,
    staleness: config.stalenessTail,
    publishSilent: config.publishSilent,
  };
  try {
    return databaseFindings(question, await readDatabase(target, names, audit, Date.now));
  } catch (error) {
    return [unreachable("PostgreSQL", error)];
  }
}

async function aboutNats(config: Config, log: Logger, profile: Profile): Promise<Finding[]> {
  const [{ connectService }, { readNats }, { natsFindings }] = await Promise.all([
    import("../../runtime/nats/service-connection.ts"),
    import("../doctor/read-nats.ts"),
    import("../doctor/streams.ts"),
  ]);
  await using scope = createScope();
  const declared = declaredStreams({ clusterId: config.clusterId, profile });
  try {
    const connect = (account: "CORE" | "STORE") =>
      connectService({ config, service: "bridge", account, log, scope, anyVersion: true });
    const connections = { CORE: await connect("CORE"), STORE: await connect("STORE") };
    const facts = await readNats(connections, declared, {
      clusterId: config.clusterId,
      url: config.natsUrl,
      now: Date.now,
    });
    return natsFindings(declared, facts, { profile, staleness: config.stalenessTail });
  } catch (error) {
    return [unreachable("nats-server", error)];
  }
}

/** The checks that need this connection are left out. */
function unreachable(name: string, error: unknown): Finding {
  if (!(error instanceof Fault)) throw error;
  return problem("bad", name, reasonOf(error), error.remedy);
}

/** `AuditLogs` of Arvados' own file, where that was given. */
function auditConfig(file: string | undefined, clusterId: string): AuditFacts["config"] {
  if (file === undefined) return null;
  const section = arvadosSection(file, clusterId, "AuditLogs");
  const text = (key: string, otherwise: string) => String(section[key] ?? otherwise);
  return {
    maxAge: text("MaxAge", AUDIT_DEFAULTS.maxAge),
    maxDeleteBatch: text("MaxDeleteBatch", AUDIT_DEFAULTS.maxDeleteBatch),
  };
}
