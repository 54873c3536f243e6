/**
 * Where settings come from: Arvados' own configuration file, our settings file, the environment. Each source gives raw values with
 * their origin and adds to the list of faults; `config.ts` decides which value wins and whether it is valid.
 */
import type { ConfigFaults } from "./faults.ts";
import { isSection, readSecret, readYaml, type Section } from "./file.ts";
import type { Setting } from "./setting.ts";
import { type PlacedSetting, settingName } from "./table.ts";

/** What one source says about a setting; `origin` is how a person finds the place. */
type Given = { raw: unknown; origin: string };

/** Asks a source about a setting; undefined where it says nothing. */
export type ConfigSource = (setting: Setting) => Given | undefined;

export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment: `<env>`, and for secrets `<env>_FILE` or the value `@/path`. */
export function environmentSource(env: Environment, faults: ConfigFaults): ConfigSource {
  return (setting) => {
    const raw = env[setting.env];
    const fileKey = `${setting.env}_FILE`;
    const file = setting.secret ? env[fileKey] : undefined;
    if (file === undefined)
      return raw === undefined ? undefined : fromFile(setting, { raw, origin: setting.env }, faults);
    if (raw !== undefined) {
      faults.add(`${setting.env}: is set together with ${fileKey}: only one of them can count`, setting);
      return undefined;
    }
    return secretFrom(setting, file, fileKey, faults);
  };
}

/** Our own settings file. An unknown key is a fault: a misspelt key would silently do nothing. */
export function settingsSource(file: string, settings: readonly PlacedSetting[], faults: ConfigFaults): ConfigSource {
  const known = new Map(settings.map(({ setting }) => [setting.file, setting]));
  const given = new Map<string, Given>();
  const walk = (section: Section, prefix: string) => {
    for (const [key, raw] of Object.entries(section)) {
      const name = prefix === "" ? key : `${prefix}.${key}`;
      const setting = known.get(name);
      const inside = keysBelow(known.keys(), name);
      if (setting) given.set(name, { raw, origin: `${file} ${name}` });
      else if (inside.length === 0) faults.add(unknownKey(file, name, keysBelow(known.keys(), prefix)));
      else if (isSection(raw)) walk(raw, name);
      else if (raw !== null)
        faults.add(`${file} ${name}: is a section with the keys ${inside.join(", ")}, not a value`);
    }
  };
  walk(readYaml(file), "");
  return (setting) => {
    const found = given.get(setting.file);
    return found && fromFile(setting, found, faults);
  };
}

/** One cluster's part of Arvados' configuration file. Empty values there mean "not given", as Arvados itself takes them. */
export function arvadosSource(file: string, wanted: string | null, faults: ConfigFaults): ConfigSource {
  const clusters = readYaml(file).Clusters;
  const ids = isSection(clusters) ? Object.keys(clusters) : [];
  const id = wanted ?? (ids.length === 1 ? ids[0] : undefined);
  if (!isSection(clusters) || ids.length === 0) {
    faults.addArvados(`${file}: has no cluster under Clusters: is it Arvados' configuration file?`);
    return () => undefined;
  }
  if (id === undefined) {
    faults.addArvados(`${file}: holds the clusters ${ids.join(", ")}: choose one with ${settingName("clusterId")}`);
    return () => undefined;
  }
  if (!Object.hasOwn(clusters, id)) {
    faults.addArvados(`${file}: has no cluster ${id} under Clusters (it has: ${ids.join(", ")})`);
    return () => undefined;
  }
  return (setting) => {
    if (setting.type === "clusterId") return { raw: id, origin: `${file} Clusters` };
    if (setting.arvados === undefined) return undefined;
    const raw = lookUp(clusters[id], setting.arvados.split("."));
    if (raw === undefined || raw === null || raw === "") return undefined;
    return { raw, origin: `${file} Clusters.${id}.${setting.arvados}` };
  };
}

/** A secret given as `@/path` is what that file holds. */
function fromFile(setting: Setting, given: Given, faults: ConfigFaults): Given | undefined {
  if (!setting.secret || typeof given.raw !== "string" || !given.raw.startsWith("@/")) return given;
  return secretFrom(setting, given.raw.slice(1), given.origin, faults);
}

function secretFrom(setting: Setting, file: string, origin: string, faults: ConfigFaults): Given | undefined {
  const secret = readSecret(file);
  if ("text" in secret) return { raw: secret.text, origin: `${origin} (${file})` };
  faults.add(`${origin}: ${secret.wrong}`, setting);
  return undefined;
}

/** A section of one cluster in Arvados' own file; empty where there is none. For values that are not settings of ours. */
export function arvadosSection(file: string, clusterId: string, name: string): Section {
  const section = lookUp(readYaml(file), ["Clusters", clusterId, name]);
  return isSection(section) ? section : {};
}

function lookUp(value: unknown, path: readonly string[]): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  return isSection(value) && Object.hasOwn(value, key) ? lookUp(value[key], rest) : undefined;
}

/** The next words below a section: `url, websocketUrl` below `nats`. */
function keysBelow(names: Iterable<string>, section: string): string[] {
  const prefix = section === "" ? "" : `${section}.`;
  const keys = [...names]
    .filter((name) => name.startsWith(prefix))
    .map((name) => name.slice(prefix.length).split(".")[0]);
  return [...new Set(keys)].filter((key) => key !== undefined);
}

function unknownKey(file: string, name: string, siblings: readonly string[]): string {
  return `${file} ${name}: there is no such setting (there are: ${siblings.join(", ")})`;
}
