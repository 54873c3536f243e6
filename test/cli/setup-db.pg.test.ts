import assert from "node:assert/strict";
import { slotSql } from "../../bridge/postgres/slot.ts";
import { spawnCli } from "../support/clients/cli.ts";
import { type FreshDatabase, freshDatabase } from "../support/servers/postgres.ts";

describe("arvados-nats setup-db", () => {
  let db: FreshDatabase;
  before(async () => {
    db = await freshDatabase();
  });
  after(() => db?.drop());

  const setup = (...args: string[]) =>
    spawnCli(["setup-db", ...args], {
      ARVADOS_NATS_CLUSTER_ID: "zzzzz",
      ARVADOS_NATS_POSTGRES_HOST: db.config.host,
      ARVADOS_NATS_POSTGRES_PORT: String(db.config.port),
      ARVADOS_NATS_POSTGRES_DBNAME: db.config.database,
      ARVADOS_NATS_POSTGRES_USER: db.config.user,
      ARVADOS_NATS_POSTGRES_PASSWORD: db.config.password,
      ARVADOS_NATS_POSTGRES_SSLMODE: "disable",
      ARVADOS_NATS_REPLICATION_SLOT: "setup_test",
    });
  const publications = async () =>
    (await db.query<{ pubname: string }>("SELECT pubname FROM pg_publication ORDER BY 1")).map((row) => row.pubname);

  it("shows the SQL and does nothing, with --dry-run", async () => {
    const { code, out, text } = await setup("--dry-run");
    assert.equal(code, 0, text);
    assert.match(out, /CREATE PUBLICATION "arvados_nats" FOR TABLE public\.users \(id, uuid/);
    assert.match(out, /WITH \(publish = 'insert', publish_via_partition_root = true\);/);
    assert.match(out, /pg_create_logical_replication_slot\('setup_test', 'pgoutput'/);
    assert.doesNotMatch(out, /ALTER TABLE/);
    assert.deepEqual(await publications(), []);
  });

  it("creates what is missing, prints it, and then finds nothing to do", async () => {
    const { code, out, text } = await setup();
    assert.equal(code, 0, text);
    assert.match(out, /made publication arvados_nats of/);
    assert.match(out, /made replication slot setup_test/);
    assert.deepEqual(await publications(), ["arvados_nats", "arvados_nats_logs"]);
    assert.match((await setup()).out, /nothing to do/);
  });

  it("creates a failover slot where PostgreSQL has such slots", async () => {
    assert.deepEqual(await db.query("SELECT failover FROM pg_replication_slots WHERE slot_name = 'setup_test'"), [
      { failover: true },
    ]);
    assert.match(slotSql("a", 160_010), /\('a', 'pgoutput'\)$/);
  });

  it("leaves every table's replica identity as Arvados has it, and publishes no table without a key", async () => {
    const odd = await db.query(
      `SELECT relname FROM pg_publication_tables t JOIN pg_class c ON c.relname = t.tablename
       WHERE c.relreplident <> 'd' OR NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)`,
    );
    assert.deepEqual(odd, []);
  });
});
