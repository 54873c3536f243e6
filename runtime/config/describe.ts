/** The configuration as text: values in force with their origin (`config print`), and all settings (`config settings`, the reference page). */
import { type Config, type Origins, valueAt } from "./config.ts";
import { formatSetting, type Setting, type SettingValue } from "./setting.ts";
import { allSettings } from "./table.ts";

type ConfigRow = { name: string; value: string | null; origin: string };

/** One row for each setting. A secret's value is `***`; null = not set. */
export function configRows(config: Config, origins: Origins = {}): ConfigRow[] {
  return allSettings().map(({ path, setting }) => {
    const text = formatSetting(setting, valueAt(config, path) as SettingValue);
    const value = text === "" ? null : setting.secret ? "***" : text;
    return { name: setting.file, value, origin: origins[setting.file] ?? "given" };
  });
}

/** For people: name, value, origin in columns. */
export function describeConfig(config: Config, origins: Origins = {}): string {
  const rows = configRows(config, origins).map(
    ({ name, value, origin }) => [name, value ?? "(not set)", origin] as const,
  );
  const width = (column: 0 | 1) => Math.max(...rows.map((row) => row[column].length));
  const [names, values] = [width(0), Math.min(width(1), 48)];
  return rows.map(([name, value, origin]) => `${name.padEnd(names)}  ${value.padEnd(values)}  ${origin}`).join("\n");
}

/** Every setting, as a Markdown table. */
export function settingsReference(): string {
  const rows = allSettings().map(({ setting }) => [
    `\`${setting.file}\``,
    `\`${setting.env}\`${setting.secret ? ` (or \`${setting.env}_FILE\`)` : ""}`,
    valuesOf(setting),
    setting.default ? `\`${setting.default}\`` : "",
    `${setting.doc}${needOf(setting)}${arvadosOf(setting)}`,
  ]);
  const head = ["setting", "environment", "value", "default", "meaning"];
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function valuesOf(setting: Setting): string {
  switch (setting.type) {
    case "choice":
      return setting.values.join(", ");
    case "url":
      return `URL (${setting.schemes.join(", ")})`;
    case "urls":
      return `URLs (${setting.schemes.join(", ")})`;
    case "seed":
      return `nkey seed (${setting.prefix}…)`;
    case "nkey":
      return `public nkey (${setting.prefix}…)`;
    case "integer":
      return `${setting.min} to ${setting.max}`;
    default:
      return KINDS[setting.type];
  }
}

const KINDS = {
  text: "text",
  tokenSecret: "token",
  clusterId: "five of a-z, 0-9",
  sqlName: "name",
  boolean: "true, false",
  address: "host:port",
  networks: "addresses and networks (`127.0.0.1 10.0.0.0/8`)",
  duration: "duration (`500ms`, `10s`, `5m`)",
} as const;

function needOf(setting: Setting): string {
  return setting.neededBy ? ` Needed by ${setting.neededBy.join(", ")}.` : "";
}

function arvadosOf(setting: Setting): string {
  return setting.arvados ? ` From \`${setting.arvados}\` where --config is given.` : "";
}
