/** All commands with their help. Services are imported when their command runs, so that help and `config print` stay quick. */
import { Command } from "commander";
import { SERVICE_VERSION } from "../runtime/version.ts";
import { addConfigCommands } from "./commands/config.ts";
import { addDevCommand } from "./commands/dev.ts";
import { addDoctorCommand } from "./commands/doctor.ts";
import { addKeysCommand } from "./commands/keys.ts";
import { addProbeCommand } from "./commands/probe.ts";
import { addRightsCommands } from "./commands/rights.ts";
import { addServiceCommands } from "./commands/services.ts";
import { addSessionCommands } from "./commands/sessions.ts";
import { addSetupDbCommand } from "./commands/setup-db.ts";
import { addStreamsCommands } from "./commands/streams.ts";
import { type CliContext, examples } from "./support/context.ts";

export function createProgram(context: CliContext): Command {
  const program = new Command("arvados-nats")
    .description("Record changes and logs of an Arvados cluster over NATS, for the users who may read them.")
    .version(SERVICE_VERSION)
    .option("--config <file>", "Arvados' own configuration file (or ARVADOS_CONFIG)")
    .option("--settings <file>", "our settings file, YAML (or ARVADOS_NATS_SETTINGS)")
    .option("--debug", "log more, and print the stacks of unexpected errors")
    .exitOverride()
    .showSuggestionAfterError()
    .showHelpAfterError("(see --help)")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: context.out,
      writeErr: (text) => void context.err.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, "arvados-nats: ")),
    });
  program.addHelpText(
    "after",
    `
Settings come from, later wins: defaults, --config, --settings, environment (ARVADOS_NATS_...).
\`config settings\` lists all settings, \`config print\` prints their values and where each came from. A secret can be
kept in a file of its own: ARVADOS_NATS_..._FILE=/path, or @/path as its value.
${examples(
  ["arvados-nats dev", "the whole product on this host, with a demo cluster"],
  ["arvados-nats config print --config /etc/arvados/config.yml", "the values in use, secrets hidden"],
  ["arvados-nats setup-db --config /etc/arvados/config.yml", "once: publication and replication slot"],
  ["arvados-nats streams apply --settings nats.yml", "once, and after each upgrade"],
  ["arvados-nats bridge --config /etc/arvados/config.yml", "then the services: bridge, authcallout, proxy"],
  ["arvados-nats doctor --config /etc/arvados/config.yml", "what is wrong, and what to do about it"],
)}`,
  );
  addDevCommand(program, context);
  addServiceCommands(program, context);
  addSetupDbCommand(program, context);
  addStreamsCommands(program, context);
  addDoctorCommand(program, context);
  addSessionCommands(program, context);
  addRightsCommands(program, context);
  addKeysCommand(program, context);
  addProbeCommand(program, context);
  addConfigCommands(program, context);
  return program;
}
