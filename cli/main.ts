/** The process of the command line: `npm start` and bin/arvados-nats.js run it. */

import { runCli } from "./run.ts";
import { failureOf } from "./support/failure.ts";

// `arvados-nats ... | head` closes our stdout: nothing more needs to be printed.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

// An error that no handler caught is printed as a sentence, and the process ends, because its state is unknown.
process.on("uncaughtException", (error) => {
  const { text, exitCode } = failureOf(error, { debug: process.argv.includes("--debug"), secrets: [] });
  process.stderr.write(text);
  process.exit(exitCode);
});

// A service that was forced to end, or a library, may leave handles that would keep the process alive.
process.exit(await runCli(process.argv.slice(2)));
