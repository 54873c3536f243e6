import assert from "node:assert/strict";
import { parse, parseAllDocuments } from "yaml";
import { allSettings } from "../../runtime/config/table.ts";
import { publicVariables, seedVariables } from "../../streams-config/key-variables.ts";
import { generateKeys, publicKeys } from "../../streams-config/keys.ts";
import {
  formatManifests,
  keysEnvironmentFiles,
  keysSecret,
  publicKeysSecret,
  quotedForServer,
} from "../../streams-config/keys-manifest.ts";

const keys = generateKeys();
const seedSettings = allSettings().flatMap(({ setting }) => (setting.type === "seed" ? [setting.env] : []));

describe("the keys of an installation", () => {
  it("have a variable for every seed that the services read, and no other", () => {
    assert.deepEqual(Object.keys(seedVariables(keys)).sort(), seedSettings.sort());
  });

  it("are one Secret with all seeds as they are", () => {
    const [secret] = [parse(formatManifests([keysSecret(keys, { name: "k", namespace: "n" })]))];
    assert.equal(secret.kind, "Secret");
    assert.deepEqual([secret.metadata.name, secret.metadata.namespace], ["k", "n"]);
    assert.equal(secret.stringData.ARVADOS_NATS_ISSUER_SEED, keys.issuer.seed);
    for (const env of seedSettings) assert.match(secret.stringData[env], /^S[AUX][A-Z2-7]{56}$/);
  });

  it("carry quotes around what nats-server parses", () => {
    const { stringData } = keysSecret(keys, { name: "k" });
    const forServer = Object.entries(stringData).filter(([name]) => name.startsWith("ARVADOS_NATS_PUBLIC_"));
    assert.equal(forServer.length, seedSettings.length);
    for (const [, value] of forServer) assert.match(value, /^"[AUX][A-Z2-7]{55}"$/);
  });

  it("come without a seed for a nats-server elsewhere", () => {
    assert.doesNotMatch(formatManifests([publicKeysSecret(keys, { name: "k" })]), /S[AUX][A-Z2-7]{56}/);
  });

  it("are YAML strings even where the value looks like something else", () => {
    const secret = { ...keysSecret(keys, { name: "k" }), stringData: { a: "12345", b: "true", c: "1e3", d: "null" } };
    const text = formatManifests([secret, secret]);
    const documents = parseAllDocuments(text).map((document) => document.toJS());
    assert.deepEqual(
      documents.map((document) => document.stringData),
      [secret.stringData, secret.stringData],
    );
  });

  it("are refused where one is empty", () => {
    const empty = structuredClone(keys);
    empty.users.bridge.CORE = { public: " ", seed: "" };
    assert.throws(() => keysSecret(empty, { name: "k" }), /ARVADOS_NATS_NKEY_BRIDGE_CORE is empty/);
    assert.throws(() => publicVariables(publicKeys(empty)), /ARVADOS_NATS_PUBLIC_BRIDGE_CORE is empty/);
    for (const bad of ["", "  ", 'a"b', "a\\b", "a\nb"]) assert.throws(() => quotedForServer(bad), RangeError);
  });

  it("come as one file for each program, each seed in one of them, and the edge's public key where it is checked", () => {
    const files = keysEnvironmentFiles(keys);
    assert.deepEqual(Object.keys(files).sort(), [
      "authcallout.env",
      "bridge.env",
      "nats-server.env",
      "proxy.env",
      "streams.env",
    ]);
    const names = (file: string) =>
      [...(files[file] ?? "").matchAll(/^([A-Z_]+)=[A-Z2-7]+$/gm)].map(([, name]) => name);
    const { "nats-server.env": server = "", ...ours } = files;
    const wanted = [...seedSettings, "ARVADOS_NATS_PUBLIC_EDGE"];
    assert.deepEqual(Object.keys(ours).flatMap(names).sort(), wanted.sort());
    assert.ok(names("proxy.env").includes("ARVADOS_NATS_EDGE_SEED"));
    assert.ok(names("authcallout.env").includes("ARVADOS_NATS_PUBLIC_EDGE"));
    assert.deepEqual(names("bridge.env"), ["ARVADOS_NATS_NKEY_BRIDGE_CORE", "ARVADOS_NATS_NKEY_BRIDGE_STORE"]);
    assert.doesNotMatch(server, /S[AUX][A-Z2-7]{56}/);
  });
});
