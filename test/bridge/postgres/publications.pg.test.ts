import assert from "node:assert/strict";
import { readCatalog } from "../../../bridge/postgres/catalog.ts";
import { connectPostgres, preflight, withClient } from "../../../bridge/postgres/preflight.ts";
import { declaredPublications, differencesOf, repairSql } from "../../../bridge/postgres/publications.ts";
import { setupDb } from "../../../bridge/postgres/setup-db.ts";
import { publicationFinding } from "../../../cli/doctor/publications.ts";
import { type FreshDatabase, freshDatabase } from "../../support/servers/postgres.ts";

const NAMES = { slot: "publications", publication: "p", logPublication: "p_logs" };

describe("publications that exist", () => {
  let db: FreshDatabase;
  before(async () => {
    db = await freshDatabase();
    await db.query(`
      CREATE SCHEMA other; CREATE TABLE other.users (id int PRIMARY KEY);
      CREATE TABLE keyless (id int); CREATE TABLE keyed (id int PRIMARY KEY)`);
    await setUp();
  });
  after(() => db?.drop());

  async function setUp(dryRun = false): Promise<string> {
    const lines: string[] = [];
    await setupDb(db.config, NAMES, { dryRun, print: (line) => void lines.push(line) });
    return lines.join("\n");
  }
  const lead = () => withClient(db.config, (client) => preflight(client, db.config, ["p", "p_logs"]));
  const doctor = async () => {
    const catalog = await withClient(db.config, (client) => readCatalog(client, "public", ["p", "p_logs"]));
    return declaredPublications(NAMES, catalog).map((declared) => publicationFinding(declared, catalog));
  };

  type Case = { what: string; sql: string; says: RegExp; harmless?: true };
  const CASES: Case[] = [
    { what: "lack a table", sql: "ALTER PUBLICATION p DROP TABLE links", says: /links is not published/ },
    { what: "lack a column", sql: "ALTER PUBLICATION p SET TABLE users (id, uuid)", says: /users lacks owner_uuid/ },
    {
      what: "lack a key",
      sql: "ALTER PUBLICATION p SET TABLE links (uuid)",
      says: /without links\.id Arvados' own updates/,
    },
    {
      what: "lack the key of credentials",
      sql: "ALTER PUBLICATION p SET TABLE credentials (owner_uuid)",
      says: /without credentials\.uuid/,
    },
    {
      what: "have a row filter",
      sql: "ALTER PUBLICATION p SET TABLE groups WHERE (id > 0)",
      says: /groups has a row filter/,
    },
    {
      what: "filter log rows",
      sql: "ALTER PUBLICATION p_logs SET TABLE logs WHERE (event_type = 'update')",
      says: /logs has a row filter/,
    },
    {
      what: "publish no deletes",
      sql: "ALTER PUBLICATION p SET (publish = 'insert, update')",
      says: /does not publish delete, truncate/,
    },
    {
      what: "publish no inserted log rows",
      sql: "ALTER PUBLICATION p_logs SET (publish = 'update')",
      says: /does not publish insert/,
    },
    {
      what: "publish all tables",
      sql: "DROP PUBLICATION p; CREATE PUBLICATION p FOR ALL TABLES",
      says: /FOR ALL TABLES, with which Arvados' own writes fail/,
    },
    {
      what: "publish a schema",
      sql: "DROP PUBLICATION p; CREATE PUBLICATION p FOR TABLES IN SCHEMA public",
      says: /FOR TABLES IN SCHEMA public/,
    },
    {
      what: "hold another schema's table of the same name",
      sql: "ALTER PUBLICATION p ADD TABLE other.users",
      says: /other\.users is published, which has the name/,
    },
    {
      what: "hold a table without a key",
      sql: "ALTER PUBLICATION p ADD TABLE keyless",
      says: /public\.keyless is published, which has no key/,
    },
    {
      what: "hold a table more",
      sql: "ALTER PUBLICATION p ADD TABLE keyed",
      says: /public\.keyed is published too/,
      harmless: true,
    },
    {
      what: "hold a column more",
      sql: "ALTER PUBLICATION p_logs SET TABLE logs (id, uuid, modified_by_user_uuid, object_uuid, event_type, event_at, properties, summary)",
      says: /logs is published with summary too/,
      harmless: true,
    },
    {
      what: "publish a table whole",
      sql: "ALTER PUBLICATION p_logs SET TABLE logs",
      says: /logs is published whole/,
      harmless: true,
    },
    {
      what: "publish more than inserted log rows",
      sql: "ALTER PUBLICATION p_logs SET (publish = 'insert, update')",
      says: /more than inserts/,
      harmless: true,
    },
    {
      what: "publish partitions by themselves",
      sql: "ALTER PUBLICATION p SET (publish_via_partition_root = false)",
      says: /does not publish partitions/,
      harmless: true,
    },
  ];
  for (const { what, sql, says, harmless } of CASES) {
    it(`that ${what} are ${harmless ? "followed" : "refused by name"}; setup-db brings them into line, doctor knows their SQL`, async () => {
      await db.query(sql);
      if (harmless) await lead();
      else await assert.rejects(lead(), { code: "postgres.publication_differs", message: says });

      const worst = (await doctor()).find(({ state }) => state !== "ok");
      assert.equal(worst?.state, harmless ? "warn" : "bad");
      assert.match(worst?.saw ?? "", says);
      const [, mend = ""] = /as its owner: (.*); then restart/.exec(worst?.todo ?? "") ?? [];
      assert.ok((await setUp(true)).split("\n").includes(`${mend};`), "what --dry-run prints");

      const said = await setUp();
      assert.match(said, /^brought into line publication p(_logs)? \(/);
      assert.match(said, says);
      assert.match(await setUp(), /^nothing to do/);
      await lead();
      assert.ok((await doctor()).every(({ state }) => state === "ok"));
    });
  }

  it("with column lists are refused where the full row has become the replica identity; then the table is published with all columns", async () => {
    await db.simulator.createUser({ username: "carol" });
    const write = () => db.query("UPDATE links SET name = name");
    await db.query("ALTER TABLE links REPLICA IDENTITY FULL");
    await assert.rejects(write(), /cannot update table "links"/, "Arvados' own writes fail");
    await assert.rejects(lead(), {
      message: /links is published by columns, with which its REPLICA IDENTITY FULL makes/,
    });
    assert.match(await setUp(), /brought into line publication p/);
    await lead();
    await write();
    await db.query("ALTER TABLE links REPLICA IDENTITY DEFAULT");
    await lead();
    assert.match(await setUp(), /links is published whole, with columns that are not read/);
  });

  it("are repaired in one transaction, so that they exist at every moment", async () => {
    const sql = await connectPostgres(db.config, () => {});
    try {
      await db.query("DROP PUBLICATION p; CREATE PUBLICATION p FOR ALL TABLES");
      const catalog = await readCatalog(sql, "public", ["p"]);
      const [records] = declaredPublications(NAMES, catalog);
      await assert.rejects(sql.query(`${repairSql(records, catalog)}; SELECT 1 / 0`), /division by zero/);
      assert.ok(differencesOf(records, await readCatalog(sql, "public", ["p"]))?.length, "as it was");
      await setUp();
    } finally {
      await sql.end();
    }
  });
});

describe("an object with the name of a table", () => {
  type Case = { what: string; sql: string; says: RegExp; code?: string; mends?: true };
  const instead = (table: string, sql: string) => `ALTER TABLE ${table} RENAME TO ${table}_real; ${sql}`;
  const CASES: Case[] = [
    {
      what: "a view",
      sql: instead("logs", "CREATE VIEW logs AS SELECT * FROM logs_real"),
      says: /public\.logs is a view/,
    },
    {
      what: "a materialized view",
      sql: instead("links", "CREATE MATERIALIZED VIEW links AS SELECT * FROM links_real"),
      says: /public\.links is a materialized view/,
    },
    {
      what: "a foreign table",
      sql: instead(
        "users",
        `CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER s FOREIGN DATA WRAPPER nowhere;
        CREATE FOREIGN TABLE users (id bigint, uuid text, owner_uuid text, is_admin boolean, is_active boolean, redirect_to_user_uuid text) SERVER s`,
      ),
      says: /public\.users is a foreign table/,
    },
    {
      what: "a table with an heir",
      sql: "CREATE TABLE links_2025 () INHERITS (links)",
      says: /public\.links_2025 inherits from public\.links/,
      mends: true,
    },
    {
      what: "a table of log rows with an heir",
      sql: "CREATE TABLE logs_2025 () INHERITS (logs)",
      says: /public\.logs_2025 inherits from public\.logs/,
      mends: true,
    },
    {
      what: "an unlogged table",
      sql: "ALTER TABLE groups SET UNLOGGED",
      says: /public\.groups is unlogged/,
      mends: true,
    },
    {
      what: "a table without replica identity",
      sql: "ALTER TABLE links REPLICA IDENTITY NOTHING",
      says: /public\.links has REPLICA IDENTITY NOTHING/,
      mends: true,
    },
    {
      what: "a table without primary key",
      sql: "ALTER TABLE links DROP CONSTRAINT links_pkey",
      says: /public\.links has no primary key/,
      mends: true,
    },
    {
      what: "a table whose identity is without the key that is read",
      sql: "ALTER TABLE virtual_machines REPLICA IDENTITY USING INDEX index_virtual_machines_on_uuid",
      says: /virtual_machines has as its replica identity uuid, without id/,
      mends: true,
    },
    {
      what: "a table whose identity's index is gone",
      sql: "ALTER TABLE virtual_machines REPLICA IDENTITY USING INDEX index_virtual_machines_on_uuid; DROP INDEX index_virtual_machines_on_uuid",
      says: /virtual_machines has as its replica identity an index that is gone/,
      mends: true,
    },
    {
      what: "a table whose primary key is another one",
      sql: "ALTER TABLE workflows DROP CONSTRAINT workflows_pkey, ALTER uuid SET NOT NULL, ADD PRIMARY KEY (uuid)",
      says: /workflows has as its replica identity uuid, without id/,
      mends: true,
    },
    {
      what: "partitions, one of which is a foreign table",
      sql: `CREATE TABLE parted (LIKE logs) PARTITION BY RANGE (created_at); DROP TABLE logs; ALTER TABLE parted RENAME TO logs;
        CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER s FOREIGN DATA WRAPPER nowhere;
        CREATE FOREIGN TABLE logs_past PARTITION OF logs DEFAULT SERVER s`,
      says: /logs_past, a partition of public\.logs, is a foreign table/,
    },
    {
      what: "partitions, one of which has no identity",
      sql: `CREATE TABLE parted (LIKE collections, PRIMARY KEY (id)) PARTITION BY HASH (id); DROP TABLE collections; ALTER TABLE parted RENAME TO collections;
        CREATE TABLE collections_0 PARTITION OF collections FOR VALUES WITH (MODULUS 1, REMAINDER 0); ALTER TABLE collections_0 REPLICA IDENTITY NOTHING`,
      says: /public\.collections_0 has REPLICA IDENTITY NOTHING/,
      mends: true,
    },
  ];
  for (const { what, sql, says, mends } of CASES) {
    it(`is refused by name where it is ${what}, by setup-db and the bridge${mends ? ", with the SQL that mends it" : ""}`, async () => {
      await using db = await freshDatabase();
      await db.query(sql);
      const setUp = () => setupDb(db.config, NAMES, { dryRun: false, print: () => {} });
      const lead = () => withClient(db.config, (client) => preflight(client, db.config, ["p", "p_logs"]));
      const refused = { code: "postgres.unfit_table", message: says };
      await assert.rejects(setUp(), refused);
      await assert.rejects(lead(), refused);
      assert.deepEqual(
        await db.query("SELECT pubname FROM pg_publication"),
        [],
        "nothing is made that makes writes fail",
      );
      if (!mends) return;
      const remedy = await setUp().catch((error: { remedy: string }) => error.remedy);
      await db.query(String(remedy).replace(/^as its owner: /, ""));
      await setUp();
      await lead();
    });
  }
});
