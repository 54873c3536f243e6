/** What a person is told when a command fails: one sentence and what to do about it. Stacks are for those who ask. */
import { Fault, reasonOf } from "../../core/errors.ts";
import { secretFilter } from "../../runtime/log/secrets.ts";

type Failure = { text: string; exitCode: number };

type Known = { debug: boolean; secrets: readonly string[]; publicValues?: readonly string[] };

export function failureOf(error: unknown, { debug, secrets, publicValues = [] }: Known): Failure {
  const hide = secretFilter(secrets, { publicValues });
  if (error instanceof Fault) {
    const text = `arvados-nats: ${error.message}\n  → ${error.remedy}\n`;
    return { text: hide(text), exitCode: error.handling === "config" ? 2 : 1 };
  }
  const stack = debug && error instanceof Error && error.stack ? `\n${error.stack}` : "";
  const remedy = debug ? "" : "\n  → this was not foreseen: run it again with --debug, and report what it prints";
  return { text: hide(`arvados-nats: ${reasonOf(error)}${remedy}${stack}\n`), exitCode: 1 };
}
