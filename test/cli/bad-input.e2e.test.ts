/** What a person meets who gets something wrong: one sentence that names the remedy, an exit code, no stack trace, no hang. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSchema } from "../../dev/database.ts";
import { startPostgres } from "../../dev/servers/postgres.ts";
import { generateKeys } from "../../streams-config/keys.ts";
import { spawnCli } from "../support/clients/cli.ts";
import { startNats } from "../support/servers/nats.ts";
import { freshDatabase } from "../support/servers/postgres.ts";

function assertOneSentence({ code, text }: { code: number | null; text: string }, says: RegExp, remedy: RegExp): void {
  assert.ok(code !== null && code !== 0, `exit code ${code}: ${text}`);
  assert.match(text, says);
  assert.match(text, remedy);
  assert.doesNotMatch(text, /^\s+at /m, "no stack trace");
}

async function occupied(): Promise<{ port: number; server: Server }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: (server.address() as { port: number }).port, server };
}

function database(config: { host: string; port: number; user: string; password: string; database: string }) {
  return {
    ARVADOS_NATS_CLUSTER_ID: "zzzzz",
    ARVADOS_NATS_POSTGRES_HOST: config.host,
    ARVADOS_NATS_POSTGRES_PORT: String(config.port),
    ARVADOS_NATS_POSTGRES_DBNAME: config.database,
    ARVADOS_NATS_POSTGRES_USER: config.user,
    ARVADOS_NATS_POSTGRES_PASSWORD: config.password,
    ARVADOS_NATS_POSTGRES_SSLMODE: "disable",
  };
}

describe("bad input", () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), "arvados-nats-test-"));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  it("is a configuration that cannot be read", async () => {
    const result = await spawnCli(["bridge", "--config", join(dir, "nothing.yml")]);
    assertOneSentence(result, /nothing\.yml cannot be read/, /check the path/);
  });

  it("is a configuration with several faults, which are reported together", async () => {
    const result = await spawnCli(["bridge"], { ARVADOS_NATS_URL: "http://wrong", ARVADOS_NATS_SESSION_TTL: "soon" });
    assertOneSentence(
      result,
      /ARVADOS_NATS_URL[\s\S]*ARVADOS_NATS_SESSION_TTL|SESSION_TTL[\s\S]*ARVADOS_NATS_URL/,
      /correct/,
    );
  });

  it("is a nats-server that is too old", async () => {
    const old = join(dir, "nats-server");
    await writeFile(old, "#!/bin/sh\necho 'nats-server: v2.9.10'\n", { mode: 0o755 });
    const result = await spawnCli(["dev"], { NATS_SERVER: old });
    assertOneSentence(result, /2\.9\.10; needed is 2\.14\.6 or newer/, /set NATS_SERVER to a newer binary/);
  });

  it("is an occupied port", async () => {
    const { port, server } = await occupied();
    try {
      const result = await spawnCli(["dev", "--port", String(port)]);
      assertOneSentence(result, new RegExp(`127\\.0\\.0\\.1:${port}: the port is in use`), /choose another port/);
    } finally {
      server.close();
    }
  });

  it("is a database without logical WAL", async () => {
    await using postgres = await startPostgres({ walLevel: "replica" });
    await postgres.createDatabase("arvados");
    await createSchema(postgres.url("arvados"));
    const result = await spawnCli(["setup-db"], database({ ...postgres, database: "arvados" }));
    assertOneSentence(result, /wal_level = replica/, /ALTER SYSTEM SET wal_level = 'logical'/);
  });

  it("is a database that is not Arvados'", async () => {
    await using db = await freshDatabase();
    await db.query("DROP TABLE containers");
    await db.query("ALTER TABLE links DROP COLUMN link_class CASCADE");
    const result = await spawnCli(["setup-db"], database(db.config));
    assertOneSentence(result, /links\.link_class; table containers/, /PostgreSQL\.Connection names Arvados' database/);
  });

  it("is a wrong database password", async () => {
    await using db = await freshDatabase();
    const result = await spawnCli(["setup-db"], database({ ...db.config, password: "wrong" }));
    assertOneSentence(result, /refuses the connection/, /check user, password and dbname/);
    assert.doesNotMatch(result.text, new RegExp(db.config.password));
  });

  it("is a bridge that was not set up", async () => {
    await using db = await freshDatabase();
    await using nats = await startNats();
    const { CORE, STORE } = nats.keys.users.bridge;
    const result = await spawnCli(["bridge"], {
      ...database(db.config),
      ARVADOS_NATS_URL: nats.server.url,
      ARVADOS_NATS_NKEY_BRIDGE_CORE: CORE.seed,
      ARVADOS_NATS_NKEY_BRIDGE_STORE: STORE.seed,
      ARVADOS_NATS_ADMIN_BRIDGE: "127.0.0.1:0",
    });
    assertOneSentence(result, /has no arvados_nats/, /setup-db/);
  });

  it("is a key that nats-server does not know", async () => {
    await using nats = await startNats();
    const { CORE, STORE } = generateKeys().users.bridge;
    const result = await spawnCli(["bridge"], {
      ...database({ host: "127.0.0.1", port: 1, user: "u", password: "p", database: "d" }),
      ARVADOS_NATS_URL: nats.server.url,
      ARVADOS_NATS_NKEY_BRIDGE_CORE: CORE.seed,
      ARVADOS_NATS_NKEY_BRIDGE_STORE: STORE.seed,
      ARVADOS_NATS_ADMIN_BRIDGE: "127.0.0.1:0",
    });
    assertOneSentence(result, /refuses the (CORE|STORE) user/, /the nkey seed does not match/);
    assert.ok(!result.text.includes(CORE.seed) && !result.text.includes(STORE.seed));
  });
});
