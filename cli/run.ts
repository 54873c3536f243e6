/** The command line as a function: arguments in, exit code out. 0 = done, 2 = usage or configuration, 128 + n = ended by signal n, 1 = anything else. */
import { CommanderError } from "commander";
import { createProgram } from "./program.ts";
import { type CliContext, print } from "./support/context.ts";
import { failureOf } from "./support/failure.ts";

type CliIo = Pick<CliContext, "out" | "err" | "env" | "signals"> & Partial<Pick<CliContext, "colours">>;

const processIo: CliIo = {
  out: (text) => void process.stdout.write(text),
  err: process.stderr,
  env: process.env,
  signals: process,
  colours: process.stdout.isTTY === true && process.env.NO_COLOR === undefined,
};

/** @param args without node and script name */
export async function runCli(args: readonly string[], io: CliIo = processIo): Promise<number> {
  const context: CliContext = { colours: false, ...io, secrets: [], debug: args.includes("--debug"), exitCode: 0 };
  const program = createProgram(context);
  if (args.length === 0) {
    print(context, program.helpInformation());
    return 2;
  }
  try {
    await program.parseAsync(args, { from: "user" });
    return context.exitCode;
  } catch (error) {
    // Commander has printed it. Help and version end with 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { text, exitCode } = failureOf(error, context);
    io.err.write(text);
    return exitCode;
  }
}
