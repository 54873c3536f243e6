import assert from "node:assert/strict";
import type pg from "pg";
import { CatalogWatch } from "../../../bridge/postgres/catalog-watch.ts";
import { connectPostgres } from "../../../bridge/postgres/preflight.ts";
import { setupDb } from "../../../bridge/postgres/setup-db.ts";
import { type FreshDatabase, freshDatabase } from "../../support/servers/postgres.ts";

const NAMES = { slot: "watch", publication: "watch", logPublication: "watch_logs" };
const LINKS = "links (id, uuid, owner_uuid, tail_uuid, head_uuid, link_class, name)";

describe("the check of PostgreSQL's catalogs at each beat", () => {
  let db: FreshDatabase;
  let sql: pg.Client;
  before(async () => {
    db = await freshDatabase();
    await db.query(`
      CREATE TABLE logs_parted (LIKE logs INCLUDING DEFAULTS, PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
      ALTER SEQUENCE logs_id_seq OWNED BY logs_parted.id; DROP TABLE logs; ALTER TABLE logs_parted RENAME TO logs;
      CREATE TABLE logs_2026 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
      CREATE TABLE collections_parted (LIKE collections INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY HASH (id);
      ALTER SEQUENCE collections_id_seq OWNED BY collections_parted.id; DROP TABLE collections;
      ALTER TABLE collections_parted RENAME TO collections;
      CREATE TABLE collections_0 PARTITION OF collections FOR VALUES WITH (MODULUS 1, REMAINDER 0);
      CREATE SCHEMA other; CREATE TABLE other.users (id int PRIMARY KEY)`);
    await setupDb(db.config, NAMES, { dryRun: false, print: () => {} });
    sql = await connectPostgres(db.config, () => {});
  });
  after(async () => {
    await sql?.end();
    await db?.drop();
  });

  /** As a term does: once in a session. */
  const begin = async () => {
    await sql.query("DEALLOCATE ALL");
    return CatalogWatch.begin(sql, "public", NAMES);
  };

  it("finds no change in the daily work of a database", async () => {
    const watch = await begin();
    await db.simulator.createUser({ username: "carol" });
    const quiet = [
      "ANALYZE",
      "VACUUM links",
      "VACUUM (FREEZE) pg_class",
      "CREATE INDEX CONCURRENTLY more ON links (name)",
      "CREATE INDEX more_of_them ON links (name)",
      "DROP INDEX more",
      "REINDEX TABLE links",
      "CREATE TABLE logs_2027 PARTITION OF logs FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
      "ALTER TABLE logs DETACH PARTITION logs_2027",
      "CREATE TABLE something_else (id int PRIMARY KEY)",
      "CREATE PUBLICATION of_somebody_else FOR TABLE links",
    ];
    for (const statement of quiet) {
      await db.query(statement);
      await watch.flushed().catch((error: Error) => assert.fail(`${statement}: ${error.message}`));
    }
  });

  /** Each change, and what puts it back. */
  const CHANGES: [what: string, change: string, back: string][] = [
    [
      "a table taken out of a publication",
      "ALTER PUBLICATION watch DROP TABLE links",
      `ALTER PUBLICATION watch ADD TABLE ${LINKS}`,
    ],
    [
      "a column taken out",
      "ALTER PUBLICATION watch DROP TABLE workflows; ALTER PUBLICATION watch ADD TABLE workflows (id, uuid)",
      "ALTER PUBLICATION watch DROP TABLE workflows; ALTER PUBLICATION watch ADD TABLE workflows (id, uuid, owner_uuid)",
    ],
    [
      "a row filter",
      "ALTER PUBLICATION watch_logs DROP TABLE logs; ALTER PUBLICATION watch_logs ADD TABLE logs (id, uuid, object_uuid, event_type, event_at, properties) WHERE (id > 0)",
      "ALTER PUBLICATION watch_logs DROP TABLE logs; ALTER PUBLICATION watch_logs ADD TABLE logs (id, uuid, object_uuid, event_type, event_at, properties)",
    ],
    [
      "operations",
      "ALTER PUBLICATION watch SET (publish = 'insert')",
      "ALTER PUBLICATION watch SET (publish = 'insert, update, delete, truncate')",
    ],
    [
      "a publication renamed",
      "ALTER PUBLICATION watch_logs RENAME TO gone",
      "ALTER PUBLICATION gone RENAME TO watch_logs",
    ],
    ["a table renamed", "ALTER TABLE links RENAME TO gone", "ALTER TABLE gone RENAME TO links"],
    ["a column renamed", "ALTER TABLE links RENAME head_uuid TO gone", "ALTER TABLE links RENAME gone TO head_uuid"],
    ["a schema renamed", "ALTER SCHEMA public RENAME TO gone", "ALTER SCHEMA gone RENAME TO public"],
    [
      "another replica identity",
      "ALTER TABLE links REPLICA IDENTITY FULL",
      "ALTER TABLE links REPLICA IDENTITY DEFAULT",
    ],
    [
      "another index as replica identity",
      "ALTER TABLE api_client_authorizations REPLICA IDENTITY USING INDEX index_api_client_authorizations_on_uuid",
      "ALTER TABLE api_client_authorizations REPLICA IDENTITY DEFAULT",
    ],
    [
      "another replica identity of a partition",
      "ALTER TABLE collections_0 REPLICA IDENTITY NOTHING",
      "ALTER TABLE collections_0 REPLICA IDENTITY DEFAULT",
    ],
    ["an heir", "CREATE TABLE heir () INHERITS (links)", "DROP TABLE heir"],
  ];
  for (const [what, change, back] of CHANGES) {
    it(`sees ${what}, also once it has been put back`, async () => {
      const watch = await begin();
      await watch.flushed();
      await db.query(change);
      await assert.rejects(watch.flushed(), { code: "postgres.publication_changed" });
      await db.query(back);
      await assert.rejects(watch.flushed(), { code: "postgres.publication_changed" }, "put back");
      await begin().then((again) => again.flushed());
    });
  }

  it("finds a table of another schema in the publication, for as long as it is there", async () => {
    const watch = await begin();
    await db.query("ALTER PUBLICATION watch ADD TABLE other.users");
    await assert.rejects(watch.flushed(), {
      message: /other\.users is published, which has the name of one of Arvados' tables/,
    });
    await db.query("ALTER PUBLICATION watch DROP TABLE other.users");
  });

  it("needs a millisecond or two, and no extra round trip", async () => {
    const watch = await begin();
    const times: number[] = [];
    for (let count = 0; count < 100; count++) {
      const begun = performance.now();
      await watch.flushed();
      times.push(performance.now() - begun);
    }
    const median = times.sort((a, b) => a - b)[50] as number;
    assert.ok(median < 20, `${median} ms on a machine that does much else`);
  });

  it("finds a change that was committed just before the position that it returns", async () => {
    const watch = await begin();
    // In one session the catalogs are read behind the position: the other way round a change in between would be vouched for.
    const asked: string[] = [];
    const query = sql.query.bind(sql);
    sql.query = ((text: string) => {
      asked.push(text);
      return query(text);
    }) as never;
    try {
      await watch.flushed();
    } finally {
      sql.query = query as never;
    }
    assert.match(asked.join("\n"), /^SELECT pg_current_wal_flush_lsn\(\) AS lsn; EXECUTE \w+$/);
  });
});
