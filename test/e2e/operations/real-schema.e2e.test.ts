/** The product on databases that are not the demo's: Arvados' types and keys alone, and what older Arvados versions lack. */
import assert from "node:assert/strict";
import pg from "pg";
import { databaseTarget } from "../../../bridge/main.ts";
import { OPTIONAL_COLUMNS, OPTIONAL_TABLES } from "../../../bridge/postgres/tables.ts";
import { createSchema } from "../../../dev/database.ts";
import { environmentOf } from "../../../dev/testing/environment.ts";
import { POSTGRES_SESSION, SESSION_SQL, sessionConfig } from "../../../runtime/postgres-session.ts";
import { liveADay } from "../../support/checks/day.ts";
import { spawnCli } from "../../support/clients/cli.ts";
import { createFromKeys } from "../../support/servers/arvados-schema.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

async function withSql(at: string | pg.ClientConfig, work: (sql: pg.Client) => Promise<unknown>): Promise<void> {
  const sql = new pg.Client(at);
  await sql.connect();
  try {
    await work(sql);
  } finally {
    await sql.end();
  }
}

const doctorOf = ({ config }: TestStack) => spawnCli(["doctor"], environmentOf(config));

describe("on a database made of nothing but Arvados' types and keys", () => {
  let stack: TestStack;
  before(async () => {
    stack = await startTestStack({ createDatabase: (url) => withSql(url, createFromKeys) });
  });
  after(() => stack?.[Symbol.asyncDispose]());

  it("a whole day passes as it should, and doctor finds nothing bad", async () => {
    await liveADay(stack);
    const { code, out, text } = await doctorOf(stack);
    assert.equal(code, 0, text);
    assert.match(out, /^ok {7}tables/m);
  });
});

describe("on an Arvados that lacks what may be missing", () => {
  let stack: TestStack;
  /** These the simulator writes. */
  const kept = new Set(["current_version_uuid", "locked_by_uuid"]);
  const lacking = Object.entries(OPTIONAL_COLUMNS).flatMap(([table, columns]) =>
    Object.keys(columns)
      .filter((column) => !kept.has(column))
      .map((column) => ({ table, column })),
  );

  before(async () => {
    stack = await startTestStack({
      async createDatabase(url) {
        await createSchema(url);
        await withSql(url, async (sql) => {
          for (const table of Object.keys(OPTIONAL_TABLES)) await sql.query(`DROP TABLE ${table}`);
          for (const { table, column } of lacking) await sql.query(`ALTER TABLE ${table} DROP COLUMN ${column}`);
        });
      },
    });
  });
  after(() => stack?.[Symbol.asyncDispose]());

  it("a day passes all the same, and doctor says what is lost by each", async () => {
    await liveADay(stack, { credentials: false });
    const { code, out, text } = await doctorOf(stack);
    assert.equal(code, 0, text);
    const tables = /^warn {5}tables.*$/m.exec(out)?.[0] ?? "";
    for (const [table, loss] of Object.entries(OPTIONAL_TABLES)) assert.ok(tables.includes(`${table}: ${loss}`), text);
    for (const { table, column } of lacking) assert.ok(tables.includes(`without ${table}.${column}: `), text);
  });
});

describe("on a database whose tables an admin has arranged otherwise", () => {
  let stack: TestStack;
  const PARTITIONED = `
    CREATE TABLE logs_parted (LIKE logs INCLUDING DEFAULTS, PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
    ALTER SEQUENCE logs_id_seq OWNED BY logs_parted.id; DROP TABLE logs; ALTER TABLE logs_parted RENAME TO logs;
    CREATE TABLE logs_past PARTITION OF logs FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
    CREATE TABLE logs_now PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
    CREATE TABLE collections_parted (LIKE collections INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY HASH (id);
    ALTER SEQUENCE collections_id_seq OWNED BY collections_parted.id; DROP TABLE collections;
    ALTER TABLE collections_parted RENAME TO collections;
    CREATE TABLE collections_0 PARTITION OF collections FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE collections_1 PARTITION OF collections FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    ALTER TABLE links REPLICA IDENTITY FULL;
    ALTER TABLE credentials REPLICA IDENTITY FULL`;

  before(async () => {
    stack = await startTestStack({
      async createDatabase(url) {
        await createSchema(url);
        await withSql(url, (sql) => sql.query(PARTITIONED));
      },
    });
  });
  after(() => stack?.[Symbol.asyncDispose]());

  it("into partitions, or with the whole row as replica identity, a day passes, and doctor finds nothing bad", async () => {
    await liveADay(stack);
    const { code, text } = await doctorOf(stack);
    assert.equal(code, 0, text);
    assert.match((await spawnCli(["setup-db"], environmentOf(stack.config))).out, /nothing to do/);
  });
});

/** What an admin may have set for the database, the role, or both: for each setting that we ask for, something else. */
type Set = keyof typeof POSTGRES_SESSION | "idle_session_timeout" | "transaction_timeout" | "wal_sender_timeout";
const HOSTILE: Record<Set, string> = {
  client_encoding: "LATIN1",
  DateStyle: "German",
  IntervalStyle: "iso_8601",
  TimeZone: "Asia/Tokyo",
  extra_float_digits: "-15",
  bytea_output: "escape",
  standard_conforming_strings: "off",
  backslash_quote: "off",
  array_nulls: "off",
  transform_null_equals: "on",
  quote_all_identifiers: "on",
  search_path: "other",
  role: "nobody_of_note",
  row_security: "on",
  default_transaction_isolation: "serializable",
  default_transaction_read_only: "on",
  default_transaction_deferrable: "on",
  statement_timeout: "1ms",
  lock_timeout: "1ms",
  idle_in_transaction_session_timeout: "1ms",
  wal_sender_timeout: "100ms",
  exit_on_error: "on",
  jit: "on",
  idle_session_timeout: "300ms",
  transaction_timeout: "300ms",
};

describe("on a database and with a role that an admin has set otherwise", () => {
  let stack: TestStack;

  before(async () => {
    stack = await startTestStack({
      async createDatabase(url) {
        await createSchema(url);
        await withSql(url, async (sql) => {
          await sql.query("CREATE SCHEMA other");
          // Names that the bridge reads, where a search_path would find them first.
          await sql.query("CREATE TABLE other.users (id bigserial PRIMARY KEY); CREATE TABLE other.links (id int)");
          await sql.query("CREATE ROLE nobody_of_note");
          const known = await sql.query<{ name: string }>("SELECT lower(name) AS name FROM pg_settings");
          const names = new Set(["role", ...known.rows.map(({ name }) => name)]);
          for (const [name, value] of Object.entries(HOSTILE)) {
            if (!names.has(name.toLowerCase())) continue;
            await sql.query(`ALTER DATABASE arvados SET ${name} = ${pg.escapeLiteral(value)}`);
            await sql.query(`ALTER ROLE CURRENT_USER IN DATABASE arvados SET ${name} = ${pg.escapeLiteral(value)}`);
          }
        });
      },
    });
  });
  after(() => stack?.[Symbol.asyncDispose]());

  it("has settings that are not what we ask for", async () => {
    await withSql(stack.postgres.url("arvados"), async (sql) => {
      assert.deepEqual((await sql.query("SHOW TimeZone")).rows, [{ TimeZone: "Asia/Tokyo" }]);
    });
  });

  for (const kind of ["SQL", "replication"] as const) {
    it(`each setting of a session for ${kind} is ours`, async () => {
      const target = sessionConfig(databaseTarget(stack.config), "a test");
      const replication = { ...target, replication: "database" } as pg.ClientConfig;
      await withSql(kind === "SQL" ? target : replication, async (sql) => {
        await sql.query(SESSION_SQL);
        const ours = {
          ...POSTGRES_SESSION,
          idle_session_timeout: "0",
          transaction_timeout: "0",
          wal_sender_timeout: "1s",
        };
        for (const [name, value] of Object.entries(ours)) {
          const { rows } = await sql.query<{ now: string }>(`SELECT current_setting('${name}', true) AS now`);
          // Null: this PostgreSQL does not know it.
          if (rows[0]?.now) assert.equal(rows[0].now, value, name);
        }
        const { rows } = await sql.query(
          "SELECT name FROM pg_settings WHERE source IN ('database', 'user', 'database user')",
        );
        assert.deepEqual(rows, [], "nothing is left of what an admin has set");
      });
    });
  }

  it("a whole day passes as it should, and doctor finds nothing bad", async () => {
    await liveADay(stack);
    const { code, text } = await doctorOf(stack);
    assert.equal(code, 0, text);
    assert.match((await spawnCli(["setup-db"], environmentOf(stack.config))).out, /nothing to do/);
  });
});
