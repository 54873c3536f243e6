import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createUser } from "@nats-io/nkeys";
import { Fault } from "../../../core/errors.ts";
import { type ConfigRequest, defaultConfig, loadConfig, secretsOf } from "../../../runtime/config/config.ts";

const ROOT_TOKEN = "systemroottokensystemroottoken12";
const ARVADOS = `
Clusters:
  zzzzz:
    SystemRootToken: ${ROOT_TOKEN}
    PostgreSQL:
      Connection: { host: db.example, port: "", user: arvados, password: 01234567, dbname: arvados_production }
    Users: { AnonymousUserToken: v2/zzzzz-gj3su-anonymouspublic/anonymoussecret, RoleGroupsVisibleToAll: false }
    Services:
      Controller: { ExternalURL: https://api.example/, InternalURLs: { "http://localhost:8003": {} } }
      Websocket: { ExternalURL: "" }
`;
const seed = () => new TextDecoder().decode(createUser().getSeed());

describe("loadConfig", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "arvados-nats-config-"));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const file = (name: string, text: string | Buffer): string => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };
  const faultOf = (request: Partial<ConfigRequest>): Fault => {
    try {
      loadConfig({ env: {}, ...request });
    } catch (error) {
      assert.ok(error instanceof Fault, String(error));
      return error;
    }
    assert.fail("the configuration was accepted");
  };
  const linesOf = (request: Partial<ConfigRequest>): string[] =>
    String(faultOf(request).facts.list)
      .split("\n")
      .map((line) => line.replace(/^ {2}- /, "").replaceAll(`${dir}/`, ""));

  it("takes what it needs from Arvados' own file", () => {
    const { config } = loadConfig({ configFile: file("config.yml", ARVADOS), env: {} });
    assert.equal(config.clusterId, "zzzzz");
    assert.deepEqual(config.postgres, {
      host: "db.example",
      port: 5432,
      user: "arvados",
      password: "01234567",
      dbname: "arvados_production",
      sslmode: "prefer",
    });
    assert.equal(config.systemRootToken, ROOT_TOKEN);
    assert.equal(config.anonymousUserToken, "anonymoussecret");
    assert.equal(config.roleGroupsVisibleToAll, false);
    assert.equal(config.arvadosApiUrl, "https://api.example");
  });

  it("lets our settings win over Arvados' file, and the environment over both", () => {
    const request = {
      configFile: file("config.yml", ARVADOS),
      settingsFile: file("nats.yml", "postgres: { host: replica.example, dbname: other }\nstaleness.refuse: 20s\n"),
      env: { ARVADOS_NATS_POSTGRES_DBNAME: "third" },
    };
    const { config, origins } = loadConfig(request);
    assert.deepEqual(
      [config.postgres.user, config.postgres.host, config.postgres.dbname, config.stalenessRefuse, config.tailMax],
      ["arvados", "replica.example", "third", 20_000, 16],
    );
    assert.equal(origins["postgres.user"], `${request.configFile} Clusters.zzzzz.PostgreSQL.Connection.user`);
    assert.equal(origins["postgres.host"], `${request.settingsFile} postgres.host`);
    assert.equal(origins["postgres.dbname"], "ARVADOS_NATS_POSTGRES_DBNAME");
    assert.equal(origins["session.tailMax"], "default");
  });

  it("reports all faults together, one line each", () => {
    const lines = linesOf({
      consumer: "authcallout",
      settingsFile: file(
        "nats.yml",
        "nats: { ulr: nats://x }\nlog: { level: loud }\npostgres: here\nstaleness: { end: 9s }\n",
      ),
      env: {
        ARVADOS_NATS_CLUSTER_ID: "ABC",
        ARVADOS_NATS_TAIL_MAX: "many",
        ARVADOS_NATS_SYSTEM_ROOT_TOKEN: ROOT_TOKEN,
      },
    });
    assert.deepEqual(lines.sort(), [
      'ARVADOS_NATS_CLUSTER_ID: "ABC" is not five of a-z, 0-9',
      'ARVADOS_NATS_TAIL_MAX: "many" is not a whole number',
      "callout.edgeKey (ARVADOS_NATS_PUBLIC_EDGE): is not set, and authcallout needs it",
      "callout.issuerSeed (ARVADOS_NATS_ISSUER_SEED): is not set, and authcallout needs it",
      "callout.xkeySeed (ARVADOS_NATS_XKEY_SEED): is not set, and authcallout needs it",
      'nats.yml log.level: "loud" is none of trace, debug, info, warn, error, fatal',
      "nats.yml nats.ulr: there is no such setting (there are: url, websocketUrl, syncInterval)",
      "nats.yml postgres: is a section with the keys host, port, dbname, user, password, sslmode, not a value",
      "nkeys.authcallout.APP (ARVADOS_NATS_NKEY_AUTHCALLOUT_APP): is not set, and authcallout needs it",
      "nkeys.authcallout.CORE (ARVADOS_NATS_NKEY_AUTHCALLOUT_CORE): is not set, and authcallout needs it",
      "nkeys.authcallout.SYS (ARVADOS_NATS_NKEY_AUTHCALLOUT_SYS): is not set, and authcallout needs it",
      "staleness.refuse (10s) must be less than staleness.end (9s)",
    ]);
  });

  it("names the command that needs a setting, and where Arvados has it", () => {
    assert.ok(
      linesOf({ consumer: "bridge" }).includes(
        "clusterId (ARVADOS_NATS_CLUSTER_ID): is not set, and bridge needs it (Arvados' own file has it: --config /etc/arvados/config.yml)",
      ),
    );
  });

  it("asks of a command only what that command needs", () => {
    const env = {
      ARVADOS_NATS_CLUSTER_ID: "zzzzz",
      ARVADOS_NATS_POSTGRES_DBNAME: "arvados",
      ARVADOS_NATS_POSTGRES_USER: "arvados",
    };
    assert.equal(loadConfig({ env, consumer: "setup-db" }).config.clusterId, "zzzzz");
    assert.doesNotThrow(() => loadConfig({ env: {} }));
  });

  it("refuses half of what goes together", () => {
    const env = { ARVADOS_NATS_NKEY_BRIDGE_CORE: seed() };
    assert.deepEqual(linesOf({ env }), [
      "nkeys.bridge.STORE (ARVADOS_NATS_NKEY_BRIDGE_STORE): is not set, though nkeys.bridge.CORE is: they go together",
    ]);
  });

  it("refuses to guess between clusters, and uses the one that is set", () => {
    const configFile = file("config.yml", "Clusters: { aaaaa: {SystemRootToken: a}, bbbbb: {SystemRootToken: b} }");
    assert.deepEqual(linesOf({ configFile, consumer: "setup-db" }), [
      "config.yml: holds the clusters aaaaa, bbbbb: choose one with clusterId (ARVADOS_NATS_CLUSTER_ID)",
    ]);
    const { config } = loadConfig({ configFile, env: { ARVADOS_NATS_CLUSTER_ID: "bbbbb" } });
    assert.equal(config.systemRootToken, "b");
    assert.deepEqual(linesOf({ configFile, env: { ARVADOS_NATS_CLUSTER_ID: "ccccc" } }), [
      "config.yml: has no cluster ccccc under Clusters (it has: aaaaa, bbbbb)",
    ]);
  });

  it("refuses a file without clusters, in one line", () => {
    for (const text of ["", "Clusters:\n", "Services: {}\n"]) {
      assert.deepEqual(linesOf({ configFile: file("config.yml", text), consumer: "setup-db" }), [
        "config.yml: has no cluster under Clusters: is it Arvados' configuration file?",
      ]);
    }
  });

  it("reads secrets from files of their own, named by @/path or by ..._FILE", () => {
    const path = file("secret", "s3cret-in-a-file\n");
    const byEnv = loadConfig({ env: { ARVADOS_NATS_POSTGRES_PASSWORD_FILE: path } });
    const byValue = loadConfig({ env: {}, settingsFile: file("nats.yml", `postgres: { password: "@${path}" }`) });
    for (const { config, origins } of [byEnv, byValue]) {
      assert.equal(config.postgres.password, "s3cret-in-a-file");
      assert.ok(origins["postgres.password"]?.endsWith(`(${path})`));
    }
  });

  it("names the file of a secret that cannot be read, and refuses two sources for one secret", () => {
    assert.deepEqual(linesOf({ env: { ARVADOS_NATS_ISSUER_SEED_FILE: "/nowhere/issuer" } }), [
      "ARVADOS_NATS_ISSUER_SEED_FILE: names /nowhere/issuer, which cannot be read: there is no such file",
    ]);
    assert.deepEqual(
      linesOf({ env: { ARVADOS_NATS_POSTGRES_PASSWORD_FILE: "/x", ARVADOS_NATS_POSTGRES_PASSWORD: "y" } }),
      [
        "ARVADOS_NATS_POSTGRES_PASSWORD: is set together with ARVADOS_NATS_POSTGRES_PASSWORD_FILE: only one of them can count",
      ],
    );
  });

  it("takes an empty anonymous token for 'no anonymous access', also against Arvados' file", () => {
    const configFile = file("config.yml", ARVADOS);
    const { config } = loadConfig({ configFile, env: { ARVADOS_NATS_ANONYMOUS_USER_TOKEN: "" } });
    assert.equal(config.anonymousUserToken, "");
  });

  it("repeats no secret in a fault", () => {
    const text = String(
      faultOf({
        env: {
          ARVADOS_NATS_ISSUER_SEED: "hunter2hunter2",
          ARVADOS_NATS_ANONYMOUS_USER_TOKEN: "hunter2 hunter2",
          ARVADOS_NATS_URL: "http://me:hunter2@x",
        },
      }).message,
    );
    assert.match(text, /3 error/);
    assert.ok(!text.includes("hunter2"), text);
  });

  it("reports why a file cannot be read", () => {
    mkdirSync(join(dir, "folder"));
    const reasons = {
      [join(dir, "missing.yml")]: "there is no such file",
      [join(dir, "folder")]: "it is a folder",
      [file("list.yml", "- a\n- b\n")]: "it is not a section of keys and values",
      [file("binary.yml", Buffer.from([0xff, 0xfe, 0x00]))]: "it is not UTF-8 text",
      [file("alias.yml", "a: *nowhere\n")]: "an alias (*name) in it leads nowhere, or too far",
      [file("twice.yml", "a: 1\na: 2\n")]: "line 2, column 1: duplicate key",
    };
    for (const [path, reason] of Object.entries(reasons)) {
      for (const request of [{ configFile: path }, { settingsFile: path }]) {
        const failure = faultOf(request);
        assert.equal(failure.code, "config.unreadable");
        assert.equal(failure.message, `the configuration file ${path} cannot be read: ${reason}`);
      }
    }
  });

  it("names the place of broken YAML without showing the text, which may be a secret", () => {
    const failure = faultOf({
      configFile: file("broken.yml", `Clusters:\n  zzzzz:\n    SystemRootToken: "${ROOT_TOKEN}\n`),
    });
    assert.match(failure.message, /cannot be read: line \d+, column \d+: [a-z ]+$/);
    assert.ok(!failure.message.includes(ROOT_TOKEN));
    const other = faultOf({ settingsFile: file("broken2.yml", `a: b: ${ROOT_TOKEN}\n  %${ROOT_TOKEN}: ]\n`) });
    assert.ok(!other.message.includes(ROOT_TOKEN), other.message);
  });
});

describe("defaultConfig", () => {
  it("lays overrides over the defaults, however deep, and shares nothing between calls", () => {
    const config = defaultConfig({
      postgres: { port: 1 },
      admin: { bridge: { host: "", port: 0 } },
      natsUrl: "nats://x:1",
    });
    assert.equal(config.postgres.port, 1);
    assert.equal(config.postgres.host, "localhost");
    assert.deepEqual(config.admin.bridge, { host: "", port: 0 });
    config.admin.proxy.port = 9;
    assert.equal(defaultConfig().admin.proxy.port, 8473);
  });

  it("knows its secrets", () => {
    assert.deepEqual(secretsOf(defaultConfig()), []);
    const config = defaultConfig({ systemRootToken: "root", nkeys: { bridge: { CORE: "SUA" } }, clusterId: "zzzzz" });
    assert.deepEqual(secretsOf(config).sort(), ["SUA", "root"]);
    const changing = defaultConfig({ issuerSeed: "SAnew SAold" });
    assert.deepEqual(secretsOf(changing).sort(), ["SAnew", "SAold"], "each is hidden wherever it stands");
  });
});
