/** What `npm start` and bin/arvados-nats.js run. */

import { runCli } from "./run.ts";
import { failureOf } from "./support/failure.ts";

// `arvados-nats ... | head` closes our stdout: nobody reads on, so there is nothing more to say.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

// Whatever escapes every handler still ends with a sentence, and a program in an unknown state must not go on.
process.on("uncaughtException", (error) => {
  const { text, exitCode } = failureOf(error, { debug: process.argv.includes("--debug"), secrets: [] });
  process.stderr.write(text);
  process.exit(exitCode);
});

// exit, since a service that was forced to end, or a library, may leave handles that would keep the process alive.
process.exit(await runCli(process.argv.slice(2)));
