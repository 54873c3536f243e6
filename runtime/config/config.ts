/**
 * The configuration of a process, resolved from the table: defaults < Arvados' configuration file < our settings file < environment.
 * All faults are reported together, and none repeats a secret.
 */
import { seedsIn } from "../../core/nkey.ts";
import { ConfigFaults } from "./faults.ts";
import {
  type Address,
  type Consumer,
  formatSetting,
  parseSetting,
  type Setting,
  type SettingValue,
} from "./setting.ts";
import { arvadosSource, type ConfigSource, type Environment, environmentSource, settingsSource } from "./sources.ts";
import { ASCENDING, allSettings, type Config, type PlacedSetting, settingName } from "./table.ts";

export type { Config };

export type ConfigRequest = {
  /** `--config`: Arvados' own file. */
  configFile?: string | undefined;
  /** `--settings`: ours. */
  settingsFile?: string | undefined;
  env: Environment;
  /** The command whose needed settings must be set; absent for commands that only read. */
  consumer?: Consumer;
};

/** Where the value of each setting came from, by its name in the settings file. */
export type Origins = Readonly<Record<string, string>>;
export type LoadedConfig = { config: Config; origins: Origins };

/** Part of a configuration, as `dev` and tests put one together. */
export type ConfigOverrides = DeepPartial<Config>;
type DeepPartial<T> = { [K in keyof T]?: keyof T[K] extends keyof Address ? T[K] : DeepPartial<T[K]> };

type Resolved = PlacedSetting & { value: SettingValue; origin: string };

/** @throws config.unreadable, config.invalid */
export function loadConfig({ configFile, settingsFile, env, consumer }: ConfigRequest): LoadedConfig {
  const settings = allSettings();
  const faults = new ConfigFaults();
  const ours: ConfigSource[] = [environmentSource(env, faults)];
  if (settingsFile !== undefined) ours.push(settingsSource(settingsFile, settings, faults));
  const sources = [...ours];
  if (configFile !== undefined) sources.push(arvadosSource(configFile, chosenCluster(settings, ours), faults));
  const resolved = settings.map((placed) => resolve(placed, sources, faults));
  addMissing(resolved, consumer, faults);
  addDisordered(resolved, faults);
  const failure = faults.asFault();
  if (failure) throw failure;
  return {
    config: assemble(resolved),
    origins: Object.fromEntries(resolved.map(({ setting, origin }) => [setting.file, origin])),
  };
}

/** The defaults with some values replaced: for programs that compose services themselves. Nothing is checked. */
export function defaultConfig(overrides: ConfigOverrides = {}): Config {
  return assemble(
    allSettings().map((placed) => {
      const given = valueAt(overrides, placed.path);
      return {
        ...placed,
        value: given === undefined ? defaultOf(placed.setting) : (given as SettingValue),
        origin: "given",
      };
    }),
  );
}

/** The values that must not be printed. */
export function secretsOf(config: Config): string[] {
  return allSettings()
    .filter(({ setting }) => setting.secret)
    .flatMap(({ path, setting }) => {
      const value = valueAt(config, path);
      if (typeof value !== "string" || value === "") return [];
      return setting.type === "seed" ? seedsIn(value) : [value];
    });
}

/** The values that may be printed, as text. */
export function publicValuesOf(config: Config): string[] {
  return allSettings()
    .filter(({ setting }) => !setting.secret)
    .map(({ path, setting }) => formatSetting(setting, valueAt(config, path) as SettingValue));
}

export function valueAt(tree: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (node, name) => (typeof node === "object" && node !== null ? (node as Record<string, unknown>)[name] : undefined),
    tree,
  );
}

function resolve(placed: PlacedSetting, sources: readonly ConfigSource[], faults: ConfigFaults): Resolved {
  const { setting } = placed;
  for (const source of sources) {
    const given = source(setting);
    if (!given) continue;
    const parsed = parseSetting(setting, given.raw);
    if ("value" in parsed) return { ...placed, value: parsed.value, origin: given.origin };
    faults.add(`${given.origin}: ${parsed.wrong}`, setting);
    break;
  }
  return { ...placed, value: defaultOf(setting), origin: "default" };
}

function defaultOf(setting: Setting): SettingValue {
  const parsed = parseSetting(setting, setting.default);
  if ("value" in parsed) return parsed.value;
  throw new Error(`the default of ${setting.file} ${parsed.wrong}`);
}

/** The cluster that our own settings choose, before Arvados' file is opened. */
function chosenCluster(settings: readonly PlacedSetting[], sources: readonly ConfigSource[]): string | null {
  const placed = settings.find(({ setting }) => setting.type === "clusterId");
  if (!placed) return null;
  // Its faults are found again when it is resolved with the rest.
  const { value } = resolve(placed, sources, new ConfigFaults());
  return typeof value === "string" && value !== "" ? value : null;
}

/** Settings that the command needs and that are not set, and settings that go together of which only some are set. */
function addMissing(resolved: readonly Resolved[], consumer: Consumer | undefined, faults: ConfigFaults): void {
  for (const { setting, value } of resolved) {
    if (value !== "" || faults.explains(setting)) continue;
    const { neededBy, together } = setting;
    const half = resolved.find(
      (other) => together !== undefined && other.setting.together === together && other.value !== "",
    );
    if (consumer !== undefined && neededBy?.includes(consumer)) {
      faults.add(`${settingName(setting)}: is not set, and ${consumer} needs it${whereElse(setting)}`);
    } else if (half) {
      faults.add(`${settingName(setting)}: is not set, though ${half.setting.file} is: they go together`);
    }
  }
}

function whereElse(setting: Setting): string {
  const inArvados = setting.arvados !== undefined || setting.type === "clusterId";
  return inArvados ? " (Arvados' own file has it: --config /etc/arvados/config.yml)" : "";
}

function addDisordered(resolved: readonly Resolved[], faults: ConfigFaults): void {
  const order = ASCENDING.map((name) => resolved.find(({ path }) => path.join(".") === name));
  for (const [index, later] of order.entries()) {
    const earlier = order[index - 1];
    if (!earlier || !later || Number(earlier.value) < Number(later.value)) continue;
    const [low, high] = [earlier, later].map(
      ({ setting, value }) => `${setting.file} (${formatSetting(setting, value)})`,
    );
    faults.add(`${low} must be less than ${high}`);
  }
}

function assemble(resolved: readonly { path: readonly string[]; value: SettingValue }[]): Config {
  const root: Record<string, unknown> = {};
  for (const { path, value } of resolved) {
    let node = root;
    for (const name of path.slice(0, -1)) {
      node[name] ??= {};
      node = node[name] as Record<string, unknown>;
    }
    node[path.at(-1) ?? ""] = value;
  }
  return root as Config;
}
