/** `setup-db`: creates what the bridge needs in PostgreSQL. */
import type { Command } from "commander";
import { type CliContext, examples, print, readConfig } from "../support/context.ts";

export function addSetupDbCommand(program: Command, context: CliContext): void {
  program
    .command("setup-db")
    .summary("create the publications and the replication slot in Arvados' database, or correct them")
    .description(
      "Create the publications and the replication slot in Arvados' database, and print each step. Existing ones are compared, and corrected where they differ. Needs wal_level = logical, and a role that may create publications (the owner of Arvados' tables) and slots (REPLICATION).",
    )
    .option("--dry-run", "print the SQL and change nothing")
    .addHelpText(
      "after",
      examples(
        ["arvados-nats setup-db --dry-run --config /etc/arvados/config.yml", "see the SQL, or give it to your DBA"],
        ["ARVADOS_NATS_POSTGRES_USER=postgres arvados-nats setup-db --config ...", "as another role"],
      ),
    )
    .action(async ({ dryRun = false }: { dryRun?: boolean }, command: Command) => {
      const { config } = readConfig(context, command, "setup-db");
      const [{ setupDb }, { databaseTarget, setupNames }] = await Promise.all([
        import("../../bridge/postgres/setup-db.ts"),
        import("../../bridge/main.ts"),
      ]);
      await setupDb(databaseTarget(config), setupNames(config), { dryRun, print: (line) => print(context, line) });
    });
}
