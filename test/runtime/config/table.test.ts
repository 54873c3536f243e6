import assert from "node:assert/strict";
import { type Config, defaultConfig } from "../../../runtime/config/config.ts";
import type { Address } from "../../../runtime/config/setting.ts";
import { allSettings, CONFIG_TABLE } from "../../../runtime/config/table.ts";
import { type PerServiceUser, serviceUsers } from "../../../streams-config/accounts.ts";

describe("the table of settings", () => {
  const settings = allSettings().map(({ setting }) => setting);

  it("gives each setting an environment variable and a place in the file of its own", () => {
    for (const key of ["env", "file"] as const) {
      const names = settings.map((setting) => setting[key]);
      assert.deepEqual(names, [...new Set(names)]);
    }
    for (const { env } of settings) assert.match(env, /^ARVADOS_NATS_[A-Z0-9_]+$/);
  });

  it("describes each setting in a sentence", () => {
    for (const { file, doc } of settings) assert.match(doc, /^[A-Z].*\.$/, file);
  });

  it("has no setting that is a section of others", () => {
    for (const { file } of settings) {
      assert.ok(!settings.some((other) => other.file.startsWith(`${file}.`)), file);
    }
  });

  it("treats every seed, token and password as a secret", () => {
    for (const { file, secret } of settings) {
      if (/seed|token|password|nkeys/i.test(file)) assert.equal(secret, true, file);
    }
  });

  it("has defaults that are good values", () => {
    assert.doesNotThrow(() => defaultConfig());
  });

  it("has an nkey for each service and account, and no other", () => {
    const nkeys: PerServiceUser<string> = defaultConfig().nkeys;
    const places = serviceUsers(nkeys).map(({ service, account }) => `${service}.${account}`);
    const table = Object.entries(CONFIG_TABLE.nkeys).flatMap(([service, accounts]) =>
      Object.keys(accounts).map((account) => `${service}.${account}`),
    );
    assert.deepEqual(table.sort(), places.sort());
  });

  it("types values by their kind", () => {
    const config: Config = defaultConfig();
    const typed: [string, number, boolean, Address, string | null, "json" | "pretty" | null] = [
      config.natsUrl,
      config.stalenessRefuse,
      config.roleGroupsVisibleToAll,
      config.admin.bridge,
      config.publicNatsUrl,
      config.logFormat,
    ];
    assert.deepEqual(typed, ["nats://127.0.0.1:4222", 10_000, true, { host: "127.0.0.1", port: 8471 }, null, null]);
    // @ts-expect-error there is no such setting
    assert.equal(config.natsUlr, undefined);
    // @ts-expect-error a setting that may be off is not simply a string
    const text: string = config.publicNatsUrl;
    assert.equal(text, null);
  });
});
