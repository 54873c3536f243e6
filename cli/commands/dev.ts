/** `dev`: the demo, which `npm start` runs. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { fault, reasonOf } from "../../core/errors.ts";
import { runService } from "../../runtime/lifecycle.ts";
import { createLog } from "../../runtime/log/log.ts";
import { type CliContext, examples, print } from "../support/context.ts";

type Options = { port: number; data?: string };

export function addDevCommand(program: Command, context: CliContext): void {
  program
    .command("dev")
    .summary("run the whole product on this host, with a demo cluster and its console page")
    .description(
      "Run the whole product on this host: PostgreSQL with Arvados' tables, nats-server, bridge, authcallout, proxy, a demo cluster with users alice and bob, and a console page that shows their events side by side. Everything listens on free loopback ports; --config, --settings and ARVADOS_NATS_... are not read. Ctrl-C stops it all and, without --data, leaves nothing behind.",
    )
    .addOption(
      new Option("--port <port>", "where the console page listens; 0 = any free one").argParser(parsePort).default(0),
    )
    .option("--data <folder>", "keep databases and streams there; absent: a temporary folder, removed at the end")
    .addHelpText(
      "after",
      examples(
        ["arvados-nats dev", "any free port"],
        ["arvados-nats dev --port 8470 --debug", "a fixed one; log more"],
      ),
    )
    .action(async ({ port, data }: Options) => {
      // What services log at level info is for their operators; here the printed steps are enough.
      const log = createLog({
        level: context.debug ? "debug" : "warn",
        secrets: context.secrets,
        publicValues: context.publicValues ?? [],
        sink: context.err,
      });
      const { runDev } = await loadDev();
      context.exitCode = await runService({
        name: "dev",
        log,
        signals: context.signals,
        start: (scope) =>
          runDev({
            log,
            scope,
            port,
            print: (line) => print(context, line),
            ...(data === undefined ? {} : { dataDir: data }),
          }),
      });
    });
}

/** Needs packages that an installation for production leaves out. */
async function loadDev() {
  try {
    return await import("../../dev/dev.ts");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error;
    const reason = reasonOf(error).split(" imported from")[0] ?? "";
    throw fault("install.incomplete", { command: "dev", reason }, { cause: error });
  }
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65535)) throw new InvalidArgumentError("It must be a number from 0 to 65535.");
  return port;
}
