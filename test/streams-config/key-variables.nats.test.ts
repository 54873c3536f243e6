import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findNatsServer } from "../../dev/servers/nats-server.ts";
import { publicKeyReferences } from "../../streams-config/key-variables.ts";
import { generateKeys } from "../../streams-config/keys.ts";
import { keysSecret } from "../../streams-config/keys-manifest.ts";
import { serverConf } from "../../streams-config/server-conf.ts";

describe("nats-server with keys from its environment", () => {
  let dir: string;
  let binary: string;
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "arvados-nats-keys-"));
    binary = (await findNatsServer()).path;
    const text = serverConf({ clusterId: "zzzzz", keys: publicKeyReferences(), storeDir: join(dir, "store") });
    writeFileSync(join(dir, "nats.conf"), text);
  });
  after(() => rmSync(dir, { recursive: true }));

  const check = (env: Readonly<Record<string, string>>): Promise<{ ok: boolean; says: string }> =>
    new Promise((resolve) => {
      execFile(binary, ["-t", "-c", join(dir, "nats.conf")], { env: { ...env } }, (error, out, err) =>
        resolve({ ok: error === null, says: out + err }),
      );
    });

  it("takes them as the Secret holds them", async () => {
    const { ok, says } = await check(keysSecret(generateKeys(), { name: "k" }).stringData);
    assert.ok(ok, says);
  });

  it("does not start where one is missing", async () => {
    const { ARVADOS_NATS_PUBLIC_BRIDGE_CORE, ...rest } = keysSecret(generateKeys(), { name: "k" }).stringData;
    const { ok, says } = await check(rest);
    assert.ok(!ok && ARVADOS_NATS_PUBLIC_BRIDGE_CORE);
    assert.match(says, /ARVADOS_NATS_PUBLIC_BRIDGE_CORE/);
  });
});
