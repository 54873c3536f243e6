/** The text for a command that failed: one sentence, and what to do about it. The stack is added with --debug. */
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
  const remedy = debug ? "" : "\n  → this is a fault of ours: run it again with --debug, and report what it prints";
  return { text: hide(`arvados-nats: ${reasonOf(error)}${remedy}${stack}\n`), exitCode: 1 };
}
