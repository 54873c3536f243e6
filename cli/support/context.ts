/** What commands share: where text goes, the global options, and how a configuration is read. */
import type { Command } from "commander";
import {
  type ConfigRequest,
  type LoadedConfig,
  loadConfig,
  publicValuesOf,
  secretsOf,
} from "../../runtime/config/config.ts";
import type { Consumer } from "../../runtime/config/setting.ts";
import type { SignalSource } from "../../runtime/lifecycle.ts";
import { createLog, type Logger, type LogSink } from "../../runtime/log/log.ts";

export type CliContext = {
  out: (text: string) => void;
  /** Logs and errors. */
  err: LogSink;
  env: ConfigRequest["env"];
  signals: SignalSource;
  /** `out` is a terminal that shows them. */
  colours: boolean;
  /** Grows as configurations are read; no error message may contain one of these. */
  secrets: string[];
  /** Grows likewise: values that may be printed. */
  publicValues?: string[];
  /** Stacks are printed for errors that are no faults. */
  debug: boolean;
  /** The exit code of a command that does not throw. */
  exitCode: number;
};

type GlobalOptions = { config?: string; settings?: string; debug?: boolean };

/** Reads the configuration that the global options name. */
export function readConfig(context: CliContext, command: Command, consumer?: Consumer): LoadedConfig {
  const { env } = context;
  const { settings } = command.optsWithGlobals<GlobalOptions>();
  const loaded = loadConfig({
    configFile: configFileOf(context, command),
    settingsFile: settings ?? env.ARVADOS_NATS_SETTINGS,
    env,
    ...(consumer ? { consumer } : {}),
  });
  context.secrets.push(...secretsOf(loaded.config));
  context.publicValues = [...(context.publicValues ?? []), ...publicValuesOf(loaded.config)];
  if (["trace", "debug"].includes(loaded.config.logLevel)) context.debug = true;
  return loaded;
}

/** Arvados' own file, where one was named. */
export function configFileOf({ env }: CliContext, command: Command): string | undefined {
  return command.optsWithGlobals<GlobalOptions>().config ?? env.ARVADOS_CONFIG;
}

export function logFor(context: CliContext, { config }: LoadedConfig): Logger {
  const { logLevel, logFormat } = config;
  const level = context.debug && logLevel !== "trace" ? "debug" : logLevel;
  return createLog({
    level,
    format: logFormat,
    secrets: context.secrets,
    publicValues: context.publicValues ?? [],
    sink: context.err,
  });
}

/** One line, or several, on stdout. */
export function print(context: CliContext, text: string): void {
  context.out(`${text}\n`);
}

/** The examples at the end of a command's help. */
export function examples(...lines: [command: string, why: string][]): string {
  const width = Math.max(...lines.map(([command]) => command.length));
  return `\nExamples:\n${lines.map(([command, why]) => `  $ ${command.padEnd(width)}  # ${why}`).join("\n")}\n`;
}
