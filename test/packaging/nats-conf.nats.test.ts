import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findNatsServer } from "../../dev/servers/nats-server.ts";
import { generateKeys } from "../../streams-config/keys.ts";
import { keysEnvironmentFiles } from "../../streams-config/keys-manifest.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

describe("nats-server on a plain host", () => {
  it("takes its configuration with the keys of its unit's file, but for the certificate", async () => {
    const dir = mkdtempSync(join(tmpdir(), "arvados-nats-packaging-"));
    try {
      const text = readFileSync(join(ROOT, "packaging/nats/nats-server.conf"), "utf8");
      assert.equal(text.match(/^ *tls \{/gm)?.length, 2);
      const conf = text
        .replace(/^ *tls \{.*\}$/m, "")
        .replace(/^ *tls \{.*\}$/m, "no_tls: true")
        .replace("/var/lib/arvados-nats-server", dir);
      writeFileSync(join(dir, "nats.conf"), conf);
      const lines = (keysEnvironmentFiles(generateKeys())["nats-server.env"] ?? "").trim().split("\n");
      const keys = Object.fromEntries(lines.map((line) => line.split("=") as [string, string]));
      const env = { ...keys, ARVADOS_NATS_SERVER_ALLOWED_ORIGINS: '["https://workbench.example.org"]' };
      execFileSync((await findNatsServer()).path, ["-t", "-c", join(dir, "nats.conf")], { env, stdio: "pipe" });
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
