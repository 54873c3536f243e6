/** The chart's files that repeat the code: the variable of each setting, the schema of `settings` in its values, nats.conf. `derived.ts` writes them. */
import { stringify } from "yaml";
import { type Consumer, parseSetting, type Setting } from "../runtime/config/setting.ts";
import { allSettings, CONFIG_TABLE, type PlacedSetting } from "../runtime/config/table.ts";
import { publicKeyReferences, publicVariables } from "../streams-config/key-variables.ts";
import { generateKeys, publicKeys } from "../streams-config/keys.ts";
import { serverConf } from "../streams-config/server-conf.ts";

const NOTICE = "# Derived from runtime/config/table.ts and streams-config/ by `npm run derive`: not to be edited.\n";

/** The chart sets these from other values, so they are not in its `settings`. */
const CHART_SETS: ReadonlySet<Setting> = new Set<Setting>([
  CONFIG_TABLE.clusterId,
  CONFIG_TABLE.natsUrl,
  CONFIG_TABLE.natsWebsocketUrl,
  CONFIG_TABLE.syncInterval,
  CONFIG_TABLE.proxyListen,
  CONFIG_TABLE.admin.bridge,
  CONFIG_TABLE.admin.authcallout,
  CONFIG_TABLE.admin.proxy,
]);

/** Secrets that a command uses if they are given, but does not need. */
const OPTIONAL_SECRETS: ReadonlyMap<Setting, readonly Consumer[]> = new Map<Setting, readonly Consumer[]>([
  [CONFIG_TABLE.postgres.password, ["bridge", "setup-db"]],
  [CONFIG_TABLE.edgeKeyOld, ["authcallout"]],
  [CONFIG_TABLE.anonymousUserToken, ["authcallout", "proxy"]],
  // For the log follower.
  [CONFIG_TABLE.systemRootToken, ["bridge"]],
]);

/** Settings of the values file: those that are not in a Secret and that the chart does not set itself. */
export function chartSettingsOf(settings: readonly PlacedSetting[] = allSettings()): Setting[] {
  return settings.map(({ setting }) => setting).filter((setting) => !isKept(setting) && !CHART_SETS.has(setting));
}

/** Whether the setting comes from a Secret. Public keys are there beside their seeds. */
function isKept({ secret, type }: Setting): boolean {
  return secret === true || type === "nkey";
}

export function chartSettings(): string {
  const secrets = allSettings()
    .map(({ setting }) => setting)
    .filter(isKept)
    .map((setting) => ({ env: setting.env, services: [...consumersOf(setting)] }));
  const { admin, proxyListen } = CONFIG_TABLE;
  const table = {
    settings: chartSettingsOf().map(({ env, file }) => ({ env, path: file.split(".") })),
    secrets,
    listen: {
      bridge: { [admin.bridge.env]: portOf(admin.bridge) },
      authcallout: { [admin.authcallout.env]: portOf(admin.authcallout) },
      proxy: { [proxyListen.env]: portOf(proxyListen), [admin.proxy.env]: portOf(admin.proxy) },
    },
    ports: {
      bridge: { admin: portOf(admin.bridge) },
      authcallout: { admin: portOf(admin.authcallout) },
      proxy: { http: portOf(proxyListen), admin: portOf(admin.proxy) },
    },
    public: Object.keys(publicVariables(publicKeys(generateKeys()))),
  };
  return NOTICE + stringify(table, { lineWidth: 0 });
}

/** For the builtin server. The template inserts the cluster's id; keys and bounds come from the pod's environment. */
export function chartNatsConf(): string {
  return serverConf({
    clusterId: "zzzzz",
    keys: publicKeyReferences(),
    storeDir: "/data",
    host: "0.0.0.0",
    ports: { client: 4222, websocket: 8080, monitor: 8222 },
    references: {
      maxFileStore: "$ARVADOS_NATS_SERVER_MAX_FILE_STORE",
      syncInterval: "$ARVADOS_NATS_SERVER_SYNC_INTERVAL",
    },
    allowedOrigins: "$ARVADOS_NATS_SERVER_ALLOWED_ORIGINS",
    lameDuck: "30s",
    pidFile: "/tmp/nats.pid",
  });
}

/** The hand-written schema, with `settings` from the table. */
export function chartSchema(current: string): string {
  const schema = JSON.parse(current) as { properties: { settings: object } };
  schema.properties.settings = settingsSchema();
  return `${JSON.stringify(schema, null, 2)}\n`;
}

type ChartSection = {
  type: "object";
  description?: string;
  additionalProperties: false;
  properties: Record<string, object>;
};

function settingsSchema(): ChartSection {
  const root: ChartSection = {
    type: "object",
    description: "Settings of the services, as in the settings file (docs/reference.md)",
    additionalProperties: false,
    properties: {},
  };
  for (const setting of chartSettingsOf()) {
    const words = setting.file.split(".");
    const last = words.pop() ?? "";
    const section = words.reduce<ChartSection>((at, word) => {
      at.properties[word] ??= { type: "object", additionalProperties: false, properties: {} };
      return at.properties[word] as ChartSection;
    }, root);
    section.properties[last] = { description: setting.doc, ...valueSchema(setting) };
  }
  return root;
}

function valueSchema(setting: Setting): object {
  switch (setting.type) {
    case "boolean":
      return { type: "boolean" };
    case "integer":
      return { type: "integer", minimum: setting.min, maximum: setting.max };
    case "choice":
      return { enum: setting.values };
    case "duration":
      return { type: "string", pattern: "^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$" };
    case "url":
      return { type: "string", pattern: `^(${setting.schemes.join("|")})://[^@]+$` };
    case "urls":
      return { type: "string", pattern: `^(${setting.schemes.join("|")})://[^@]+$` };
    case "sqlName":
      return { type: "string", pattern: "^[a-z_][a-z0-9_]{0,62}$" };
    default:
      return { type: "string" };
  }
}

function consumersOf(setting: Setting): readonly Consumer[] {
  const consumers = [...(setting.neededBy ?? []), ...(OPTIONAL_SECRETS.get(setting) ?? [])];
  // A new secret must name the services that need it: no service gets a secret by default.
  if (consumers.length === 0)
    throw new RangeError(`${setting.env}: no service needs it; name the services that may use it in OPTIONAL_SECRETS`);
  return consumers;
}

function portOf(setting: Setting): number {
  const parsed = parseSetting(setting, setting.default);
  if (!("value" in parsed) || parsed.value === null || typeof parsed.value !== "object")
    throw new RangeError(`${setting.env} is not an address`);
  return parsed.value.port;
}
