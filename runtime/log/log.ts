/**
 * Logs are events with fields: `log.info({ user, sequence, ms }, "grants issued")`. JSON lines for machines, a short human form on
 * a terminal, always on stderr, because stdout belongs to the output of commands. Secrets are removed: from fields by name,
 * and from whole lines by the places and shapes of secrets (`secrets.ts`).
 */
import { type Logger, pino, stdSerializers } from "pino";
import { prettyLine } from "./pretty.ts";
import { redactFields, secretFilter } from "./secrets.ts";

export type { Logger };
export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal";
type LogFormat = "json" | "pretty";

/** `process.stderr`, or a collector in a test. */
export type LogSink = { write(line: string): unknown; isTTY?: boolean | undefined };

export type LogOptions = {
  level?: LogLevel;
  /** Absent: pretty on a terminal, JSON elsewhere. */
  format?: LogFormat | null;
  /** Values that must never be printed, whatever field or text they stand in. */
  secrets?: readonly string[];
  /** Values of settings that may be printed. */
  publicValues?: readonly string[];
  sink?: LogSink;
};

/** The process' logger. Parts take `log.child({ component: "bridge" })`. */
export function createLog({
  level = "info",
  format = null,
  secrets = [],
  publicValues = [],
  sink = process.stderr,
}: LogOptions = {}): Logger {
  const terminal = sink.isTTY === true;
  // A password may equal a word of our own messages; text of others is in fields only.
  const hide = secretFilter(secrets, { publicValues, words: false });
  const hideInField = secretFilter(secrets, { publicValues });
  const shownError = (error: unknown) => errorFields(error, hideInField);
  const form = (format ?? (terminal ? "pretty" : "json")) === "pretty" ? prettyForm(terminal) : (line: string) => line;
  return pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }), log: (fields) => redactFields(fields, 0, hideInField) },
      serializers: { err: shownError, error: shownError },
    },
    { write: (line: string) => void sink.write(form(hide(line))) },
  );
}

/** For tests and benches. */
export function silentLog(): Logger {
  return pino({ level: "silent" });
}

/** An error with its causes and its own fields; the fields of a library's error may hold what it was called with. */
function errorFields(error: unknown, hide: (text: string) => string): unknown {
  return error instanceof Error ? redactFields({ ...stdSerializers.errWithCause(error) }, 0, hide) : error;
}

function prettyForm(colours: boolean): (line: string) => string {
  return (line) => `${prettyLine(line, { colours: colours && process.env.NO_COLOR === undefined })}\n`;
}
