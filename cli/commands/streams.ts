/** `streams plan | apply | check | export`: compares and aligns the streams of nats-server with their declaration. */
import { type Command, Option } from "commander";
import { fault } from "../../core/errors.ts";
import { settingName } from "../../runtime/config/table.ts";
import { createScope } from "../../runtime/scope.ts";
import type { StreamVerb } from "../../streams-config/apply.ts";
import { EXPORT_FORMATS, type ExportFormat, exportStreams } from "../../streams-config/export.ts";
import type { StreamStep } from "../../streams-config/stream-plan.ts";
import { declaredStreams, STREAM_PROFILES } from "../../streams-config/streams.ts";
import { type CliContext, examples, logFor, print, readConfig } from "../support/context.ts";

export type Profile = keyof typeof STREAM_PROFILES;
type Options = { profile: Profile; json?: boolean };

const VERBS = {
  plan: "Show what `apply` would do. Changes nothing; ends with 1 if something could not be applied.",
  apply:
    "Create and update streams as declared. Deletes no messages except the oldest of a log that exceeds its share; any other change that would delete messages is refused, and then nothing is changed.",
  check: "End with 1 unless every stream is as declared. For monitoring and CI.",
} as const satisfies Record<StreamVerb, string>;

export function addStreamsCommands(program: Command, context: CliContext): void {
  const streams = program
    .command("streams")
    .description("Bring nats-server's streams into line with their declaration.");
  for (const verb of Object.keys(VERBS) as StreamVerb[]) {
    streams
      .command(verb)
      .description(VERBS[verb])
      .addOption(profileOption())
      .option("--json", "the plan as JSON: [{stream, account, action, differences}]")
      .addHelpText(
        "after",
        examples(
          [`arvados-nats streams ${verb} --config /etc/arvados/config.yml`, "one nats-server"],
          [`arvados-nats streams ${verb} --profile cluster --json`, "three or more, for a program"],
        ),
      )
      .action((options: Options, command: Command) => runVerb(context, verb, options, command));
  }
  streams
    .command("export")
    .description("Print the streams as they are declared, for other tools. Connects to nothing.")
    .addOption(profileOption())
    .addOption(
      new Option("--format <form>", "JSON for `nats stream add --config`, or NACK's resources")
        .choices(EXPORT_FORMATS)
        .default("json" satisfies ExportFormat),
    )
    .addHelpText(
      "after",
      examples(
        ["arvados-nats streams export | jq '.[0]' > graph.json", "one stream, for `nats stream add --config`"],
        ["arvados-nats streams export --profile cluster --format nack", "for the NACK operator"],
      ),
    )
    .action(({ profile, format }: Pick<Options, "profile"> & { format: ExportFormat }, command: Command) => {
      const { clusterId } = readConfig(context, command).config;
      if (clusterId === "")
        throw fault("config.invalid", { count: 1, list: `  ${settingName("clusterId")}: is not set` });
      context.out(exportStreams(declaredStreams({ clusterId, profile }), format));
    });
}

/** Of which size the installation is. */
export function profileOption(): Option {
  return new Option("--profile <name>", "sizes and replicas")
    .choices(Object.keys(STREAM_PROFILES))
    .default("single" satisfies Profile);
}

async function runVerb(
  context: CliContext,
  verb: StreamVerb,
  { profile, json }: Options,
  command: Command,
): Promise<void> {
  const loaded = readConfig(context, command, "streams");
  const log = logFor(context, loaded);
  const { connectService } = await import("../../runtime/nats/service-connection.ts");
  const { runStreams } = await import("../../streams-config/apply.ts");
  await using scope = createScope();
  const { config } = loaded;
  const connect = (account: "CORE" | "STORE") => connectService({ config, service: "streams", account, log, scope });
  const connections = { CORE: await connect("CORE"), STORE: await connect("STORE") };
  const declared = declaredStreams({ clusterId: config.clusterId, profile });
  const { plan, text, exitCode } = await runStreams(verb, connections, declared);
  context.exitCode = exitCode;
  print(context, json ? JSON.stringify(plan.map(rowOf), null, 2) : text);
}

function rowOf(step: StreamStep): object {
  const { stream, ...rest } = step;
  return { stream: stream.name, account: stream.account, ...rest };
}
