import assert from "node:assert/strict";
import { defaultConfig, secretsOf } from "../../../runtime/config/config.ts";
import { configRows, describeConfig, settingsReference } from "../../../runtime/config/describe.ts";
import { allSettings } from "../../../runtime/config/table.ts";

const secretive = defaultConfig({
  clusterId: "zzzzz",
  systemRootToken: "root-token-secret",
  anonymousUserToken: "anonymous-secret",
  issuerSeed: "issuer-secret",
  xkeySeed: "xkey-secret",
  edgeSeed: "edge-secret",
  postgres: { password: "postgres-secret" },
  nkeys: {
    bridge: { CORE: "b-core-secret", STORE: "b-store-secret" },
    authcallout: { SYS: "a-sys-secret", CORE: "a-core-secret", APP: "a-app-secret" },
    gateway: { CORE: "g-core-secret", STORE: "g-store-secret", APP: "g-app-secret" },
    streams: { CORE: "s-core-secret", STORE: "s-store-secret" },
  },
});

describe("a configuration as text", () => {
  it("shows every setting with where its value came from", () => {
    const text = describeConfig(secretive, { clusterId: "ARVADOS_NATS_CLUSTER_ID" });
    assert.equal(text.split("\n").length, allSettings().length);
    assert.match(text, /^clusterId +zzzzz +ARVADOS_NATS_CLUSTER_ID$/m);
    assert.match(text, /^staleness\.refuse +10s +given$/m);
    assert.match(text, /^public\.natsUrl +\(not set\) +given$/m);
  });

  it("shows no secret in any form, only that there is one", () => {
    assert.equal(secretsOf(secretive).length, allSettings().filter(({ setting }) => setting.secret).length);
    for (const text of [describeConfig(secretive), JSON.stringify(configRows(secretive))]) {
      assert.ok(!text.includes("-secret"));
      assert.ok(text.includes("***"));
    }
    assert.match(describeConfig(defaultConfig()), /^arvados\.systemRootToken +\(not set\)/m);
  });

  it("has a reference row for each setting, of equally many cells", () => {
    const lines = settingsReference().split("\n");
    assert.equal(lines.length, allSettings().length + 2);
    for (const line of lines) assert.equal(line.split(" | ").length, 5, line);
    for (const { setting } of allSettings()) assert.ok(settingsReference().includes(`\`${setting.env}\``));
  });
});
