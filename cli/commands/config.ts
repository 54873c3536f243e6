/** `config print` and `config settings`. */
import type { Command } from "commander";
import { configRows, describeConfig, settingsReference } from "../../runtime/config/describe.ts";
import { type CliContext, examples, print, readConfig } from "../support/context.ts";

export function addConfigCommands(program: Command, context: CliContext): void {
  const config = program.command("config").description("Print the configuration, or all settings.");
  config
    .command("print")
    .description("Print the value of every setting and where it came from. Secrets are shown as ***.")
    .option("--json", "as JSON: [{name, value, origin}]")
    .addHelpText(
      "after",
      examples(
        ["arvados-nats config print --config /etc/arvados/config.yml", "what Arvados' file gives"],
        [
          "arvados-nats config print --json | jq '.[] | select(.origin != \"default\")'",
          "all that differs from the defaults",
        ],
      ),
    )
    .action(({ json }: { json?: boolean }, command: Command) => {
      const { config, origins } = readConfig(context, command);
      print(context, json ? JSON.stringify(configRows(config, origins), null, 2) : describeConfig(config, origins));
    });
  config
    .command("settings")
    .description("List all settings with environment variable, default and meaning, as a Markdown table.")
    .addHelpText("after", examples(["arvados-nats config settings | less -S", "read it"]))
    .action(() => print(context, settingsReference()));
}
