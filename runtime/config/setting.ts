/** The kinds of values that a setting can have: how each is read from text or YAML, its TypeScript type, and how it is printed. */
import { fromPublic, fromSeed } from "@nats-io/nkeys";
import { parseNetworks } from "../../core/address.ts";
import { seedsIn } from "../../core/nkey.ts";

/** `host:port` to listen on; an empty host means every interface. */
export type Address = { host: string; port: number };

/** Each kind with its options; `type` alone decides the value's TypeScript type. */
type SettingKind =
  | { type: "text" | "tokenSecret" | "clusterId" | "sqlName" | "boolean" | "address" | "networks" }
  | { type: "url"; schemes: readonly string[] }
  /** One or several with the same scheme, separated by spaces or commas. */
  | { type: "urls"; schemes: readonly string[] }
  /** One, or two separated by a space during a change of keys. */
  | { type: "seed"; prefix: "SU" | "SA" | "SX" }
  /** A public nkey. */
  | { type: "nkey"; prefix: "U" }
  | { type: "integer"; min: number; max: number }
  | { type: "duration"; min: number; max: number }
  | { type: "choice"; values: readonly string[] };

/** The commands that may need a setting. */
export type Consumer = "bridge" | "authcallout" | "proxy" | "streams" | "setup-db";

export type Setting = SettingKind & {
  env: string;
  /** Its place in our own settings file, dots between levels. */
  file: string;
  /** Its place below `Clusters.<id>` in Arvados' own configuration file. */
  arvados?: string;
  /** As a user would write it; `null` = off unless given; `""` = not set. */
  default: string | null;
  /** Never printed; may be given as `@/path` or by `<env>_FILE`. */
  secret?: true;
  neededBy?: readonly Consumer[];
  /** Settings with the same word here are set together or not at all. */
  together?: string;
  doc: string;
};

type SettingValues = {
  text: string;
  tokenSecret: string;
  clusterId: string;
  sqlName: string;
  boolean: boolean;
  address: Address;
  url: string;
  /** With a space between two. */
  urls: string;
  seed: string;
  nkey: string;
  /** As `parseNetworks` takes it. */
  networks: string;
  integer: number;
  /** Milliseconds. */
  duration: number;
};

export type ValueOf<S extends Setting> =
  | (S extends { type: "choice"; values: readonly (infer V)[] }
      ? V
      : S["type"] extends keyof SettingValues
        ? SettingValues[S["type"]]
        : never)
  | (S extends { default: null } ? null : never);

export type SettingValue = string | number | boolean | Address | null;

/** A value, or the rest of a sentence that begins with the setting's name. The sentence never repeats a secret. */
type Parsed = { value: SettingValue } | { wrong: string };

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Reads what a user wrote. */
export function parseSetting(setting: Setting, raw: unknown): Parsed {
  if (raw !== null && typeof raw === "object") return { wrong: "is a list or a section, not a single value" };
  const text = raw === null || raw === undefined ? "" : String(raw).trim();
  if (text === "")
    return setting.default === null || setting.default === "" ? emptyValue(setting) : { wrong: "is empty" };
  const quoted = setting.secret ? "its value" : JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
  switch (setting.type) {
    case "text":
      return { value: text };
    case "tokenSecret":
      return tokenSecret(text);
    case "clusterId":
      return /^[a-z0-9]{5}$/.test(text) ? { value: text } : { wrong: `${quoted} is not five of a-z, 0-9` };
    case "sqlName":
      return /^[a-z_][a-z0-9_]{0,62}$/.test(text)
        ? { value: text }
        : { wrong: `${quoted} is not a name of lower-case letters, digits and _ (at most 63)` };
    case "boolean":
      if (!/^(true|false)$/i.test(text)) return { wrong: `${quoted} is neither true nor false` };
      return { value: text.toLowerCase() === "true" };
    case "address":
      return parseAddress(text, quoted);
    case "url":
      return parseUrl(text, setting.schemes, quoted);
    case "urls":
      return parseUrls(text, setting.schemes);
    case "seed":
      return areSeeds(text, setting.prefix)
        ? { value: text }
        : { wrong: `is not an nkey seed that begins with ${setting.prefix} (58 characters), or two of them` };
    case "nkey":
      return publicNkey(text, setting.prefix);
    case "networks":
      return parseNetworks(text)
        ? { value: text }
        : { wrong: `${quoted} is not addresses and networks, such as 127.0.0.1 10.0.0.0/8` };
    case "integer":
      return within(
        setting,
        /^-?\d+$/.test(text) ? Number(text) : Number.NaN,
        `${quoted} is not a whole number`,
        String,
      );
    case "duration":
      return within(
        setting,
        parseDuration(text),
        `${quoted} is not a duration such as 500ms, 10s, 5m or 1h`,
        formatDuration,
      );
    case "choice":
      return setting.values.includes(text)
        ? { value: text }
        : { wrong: `${quoted} is none of ${setting.values.join(", ")}` };
  }
}

/** The reverse: what would have to be written to get this value. */
export function formatSetting(setting: Setting, value: SettingValue): string {
  if (value === null || value === "") return "";
  if (typeof value === "object") return formatAddress(value);
  return setting.type === "duration" ? formatDuration(Number(value)) : String(value);
}

export function formatAddress({ host, port }: Address): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Where a listener on this address is reached from the same host. */
export function urlOf(scheme: string, { host, port }: Address): string {
  const everywhere = host === "" || host === "0.0.0.0" || host === "::";
  return `${scheme}://${formatAddress({ host: everywhere ? "127.0.0.1" : host, port })}`;
}

/** Milliseconds of `10s`, `500ms`, `1m30s`; NaN for anything else, so also for a number without a unit. */
export function parseDuration(text: string): number {
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return Number.NaN;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g))
    total += Number(amount) * (UNITS[unit ?? ""] ?? 0);
  return Math.round(total);
}

export function formatDuration(ms: number): string {
  const unit = ["d", "h", "m", "s"].find((name) => ms !== 0 && ms % (UNITS[name] ?? 1) === 0) ?? "ms";
  return `${ms / (UNITS[unit] ?? 1)}${unit}`;
}

function emptyValue(setting: Setting): Parsed {
  return { value: setting.default === null ? null : "" };
}

function within(
  { min, max }: { min: number; max: number },
  value: number,
  wrong: string,
  show: (value: number) => string,
): Parsed {
  if (Number.isNaN(value)) return { wrong };
  return value >= min && value <= max
    ? { value }
    : { wrong: `${show(value)} is not between ${show(min)} and ${show(max)}` };
}

function parseAddress(text: string, quoted: string): Parsed {
  const [, ipv6, name, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  if (digits === undefined || Number(digits) > 65535) return { wrong: `${quoted} is not host:port` };
  return { value: { host: ipv6 ?? name ?? "", port: Number(digits) } };
}

function parseUrl(text: string, schemes: readonly string[], quoted: string): Parsed {
  const shape = schemes.map((scheme) => `${scheme}://…`).join(" or ");
  if (!URL.canParse(text)) return { wrong: `${quoted} is not a URL (${shape})` };
  const url = new URL(text);
  // Checked first, because the errors below repeat the text.
  if (url.username !== "" || url.password !== "") return { wrong: "must not carry a user or a password" };
  if (!schemes.includes(url.protocol.slice(0, -1)) || url.hostname === "")
    return { wrong: `${quoted} does not begin with ${shape}` };
  return { value: text.replace(/\/+$/, "") };
}

function parseUrls(text: string, schemes: readonly string[]): Parsed {
  const urls: string[] = [];
  for (const word of text.split(/[\s,]+/).filter((part) => part !== "")) {
    const parsed = parseUrl(word, schemes, JSON.stringify(word.length > 60 ? `${word.slice(0, 60)}…` : word));
    if ("wrong" in parsed) return parsed;
    urls.push(String(parsed.value));
  }
  // A connection that is encrypted to some servers only is not safe.
  if (new Set(urls.map((url) => new URL(url).protocol)).size > 1)
    return { wrong: "has addresses with different schemes" };
  return urls.length > 0 ? { value: urls.join(" ") } : { wrong: "is empty" };
}

/** Arvados takes a v2 token in `Users.AnonymousUserToken` for its secret part. */
function tokenSecret(text: string): Parsed {
  const parts = text.split("/");
  const secret = parts[0] === "v2" ? (parts[2] ?? "") : text;
  return /^[\x21-\x7e]+$/.test(secret) ? { value: secret } : { wrong: "is neither a token's secret nor a v2 token" };
}

/** Without the quotes around public keys in the Secret, which nats-server needs. */
function publicNkey(text: string, prefix: "U"): Parsed {
  const key = text.replace(/^"(.*)"$/, "$1");
  try {
    fromPublic(key);
    if (key.startsWith(prefix)) return { value: key };
  } catch {
    // Reported below, as for a key of another kind.
  }
  return { wrong: `is not a public nkey that begins with ${prefix} (56 characters)` };
}

function areSeeds(text: string, prefix: "SU" | "SA" | "SX"): boolean {
  const seeds = seedsIn(text);
  return seeds.length <= 2 && seeds.every((seed) => isSeed(seed, prefix));
}

function isSeed(text: string, prefix: "SU" | "SA" | "SX"): boolean {
  if (!text.startsWith(prefix)) return false;
  try {
    fromSeed(new TextEncoder().encode(text));
    return true;
  } catch {
    return false;
  }
}
