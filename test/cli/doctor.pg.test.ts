import assert from "node:assert/strict";
import pg from "pg";
import { preflight, withClient } from "../../bridge/postgres/preflight.ts";
import { setupDb } from "../../bridge/postgres/setup-db.ts";
import { AUDIT_DEFAULTS, type AuditFacts } from "../../cli/doctor/audit.ts";
import { databaseFindings } from "../../cli/doctor/database.ts";
import { MAX_OWNERS } from "../../cli/doctor/deep-projects.ts";
import type { Finding } from "../../cli/doctor/finding.ts";
import { readDatabase } from "../../cli/doctor/read-database.ts";
import { createSchema } from "../../dev/database.ts";
import { type PostgresServer, startPostgres } from "../../dev/servers/postgres.ts";
import { createSimulator, type Simulator } from "../../dev/simulator/index.ts";

const NAMES = { slot: "doctor", publication: "doctor", logPublication: "doctor_logs" };
const DATABASE = "arvados";
const ROLE = "bridge_role";

/** A server of its own: these tests spoil it. */
type World = { postgres: PostgresServer; arvados: Simulator; sql: pg.Client };

async function startWorld(walLevel: "logical" | "replica" = "logical"): Promise<World> {
  const postgres = await startPostgres({ inMemory: true, walLevel });
  await postgres.createDatabase(DATABASE);
  await createSchema(postgres.url(DATABASE));
  const arvados = createSimulator({ connection: { connectionString: postgres.url(DATABASE) }, clusterId: "zzzzz" });
  await arvados.seed();
  const sql = new pg.Client({ connectionString: postgres.url(DATABASE) });
  await sql.connect();
  await sql.query(`CREATE ROLE ${ROLE} LOGIN REPLICATION PASSWORD '${postgres.password}'`);
  await sql.query(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${ROLE}`);
  return { postgres, arvados, sql };
}

async function endWorld({ postgres, arvados, sql }: World): Promise<void> {
  await sql.end();
  await arvados.close();
  await postgres.stop();
}

const target = ({ postgres: { host, port, user, password } }: World) => ({
  host,
  port,
  user,
  password,
  database: DATABASE,
});

type Asked = { now?: () => number; audit?: AuditFacts["config"]; publishSilent?: boolean };

async function doctor(world: World, { now = Date.now, audit = null, publishSilent = false }: Asked = {}) {
  const question = { address: "db", database: DATABASE, role: ROLE, names: NAMES, staleness: 5_000, publishSilent };
  return databaseFindings(question, await readDatabase({ ...target(world), user: ROLE }, NAMES, audit, now));
}

function find(findings: readonly Finding[], name: string): Finding {
  const found = findings.find((finding) => finding.name === name);
  assert.ok(found, name);
  return found;
}

const bad = (findings: readonly Finding[]) => findings.filter(({ state }) => state === "bad").map(({ name }) => name);

describe("doctor, of Arvados' database", () => {
  let world: World;
  before(async () => {
    world = await startWorld();
    await setupDb(target(world), NAMES, { dryRun: false, print: () => {} });
  });
  after(() => world && endWorld(world));

  /** Spoils something, asks, and mends it. */
  const spoiled = async (spoil: string, mend: string, asked?: Asked): Promise<Finding[]> => {
    await world.sql.query(spoil);
    try {
      return await doctor(world, asked);
    } finally {
      await world.sql.query(mend);
    }
  };

  it("finds nothing bad after setup-db, and warns that the disk could fill and that no bridge reads the slot", async () => {
    const findings = await doctor(world);
    assert.deepEqual(bad(findings), []);
    const warned = findings.filter(({ state }) => state === "warn").map(({ name }) => name);
    assert.deepEqual(warned, ["slot doctor", "retained WAL"]);
    assert.equal(find(findings, "audit log").state, "ok");
  });

  it("names a revoked grant, with the SQL that gives it back", async () => {
    const findings = await spoiled(`REVOKE SELECT ON links FROM ${ROLE}`, `GRANT SELECT ON links TO ${ROLE}`);
    const { state, saw, todo } = find(findings, "grants");
    assert.equal(state, "bad");
    assert.match(saw, /may not read links$/);
    assert.match(todo ?? "", /GRANT SELECT ON ALL TABLES IN SCHEMA public TO bridge_role/);
    assert.equal(find(findings, "tables").state, "ok", "the table is still there");
    assert.equal(find(findings, "audit log").state, "unknown");
  });

  it("names a table of which row-level security hides rows, as the bridge does, which does not start on it", async () => {
    const hide = "ALTER TABLE links ENABLE ROW LEVEL SECURITY";
    const { port, host, password } = world.postgres;
    const role = { host, port, password, user: ROLE, database: DATABASE };
    const lead = () => withClient(role, (client) => preflight(client, role, ["doctor", "doctor_logs"]));
    const findings = await spoiled(hide, "SELECT 1");
    assert.deepEqual(bad(findings), ["row security"]);
    assert.match(find(findings, "row security").todo ?? "", /ALTER ROLE bridge_role BYPASSRLS/);
    await assert.rejects(lead(), { code: "postgres.row_security", message: /public\.links/ });
    const read = withClient(role, (client) => client.query("SELECT id FROM public.links"));
    await assert.rejects(read, /row-level security/, "nothing is read in silence of what is hidden");
    await world.sql.query(`ALTER ROLE ${ROLE} BYPASSRLS`);
    await lead();
    await world.sql.query(`ALTER ROLE ${ROLE} NOBYPASSRLS; ALTER TABLE links DISABLE ROW LEVEL SECURITY`);
    await lead();
  });

  it("sees a schema that the role may not use as a grant, not as missing tables", async () => {
    const findings = await spoiled(
      "REVOKE USAGE ON SCHEMA public FROM PUBLIC",
      "GRANT USAGE ON SCHEMA public TO PUBLIC",
    );
    assert.equal(find(findings, "grants").state, "bad");
    assert.equal(find(findings, "tables").state, "ok");
  });

  it("names a role that may not replicate", async () => {
    const findings = await spoiled(`ALTER ROLE ${ROLE} NOREPLICATION`, `ALTER ROLE ${ROLE} REPLICATION`);
    assert.deepEqual(bad(findings), ["replication"]);
    assert.match(find(findings, "replication").todo ?? "", /ALTER ROLE bridge_role REPLICATION/);
  });

  it("names what a publication lacks, and its SQL adds exactly that", async () => {
    await world.sql.query("ALTER PUBLICATION doctor SET TABLE users (id, uuid), groups");
    const { state, saw, todo } = find(await doctor(world), "publication doctor");
    assert.equal(state, "bad");
    assert.match(saw, /users lacks owner_uuid, is_admin, is_active, redirect_to_user_uuid; links is not published/);
    const [, sql] = /as its owner: (.*); then restart the bridge$/.exec(todo ?? "") ?? [];
    await world.sql.query(sql ?? "");
    assert.equal(find(await doctor(world), "publication doctor").state, "ok");
  });

  it("knows the publications with which Arvados' own writes fail", async () => {
    await world.sql.query("ALTER PUBLICATION doctor SET TABLE links (uuid)");
    assert.match(
      find(await doctor(world), "publication doctor").saw,
      /without links\.id Arvados' own updates of it fail/,
    );
    await world.sql.query("ALTER PUBLICATION doctor SET TABLE groups WHERE (group_class = 'role')");
    const { saw, todo } = find(await doctor(world), "publication doctor");
    assert.match(saw, /groups has a row filter/);
    const [, sql] = /as its owner: (.*); then restart the bridge$/.exec(todo ?? "") ?? [];
    await world.sql.query(sql ?? "");
  });

  it("distinguishes a publication that publishes too little from a missing one", async () => {
    const findings = await spoiled(
      "ALTER PUBLICATION doctor SET (publish = 'insert')",
      "ALTER PUBLICATION doctor SET (publish = 'insert, update, delete, truncate')",
    );
    assert.match(find(findings, "publication doctor").saw, /does not publish update, delete, truncate/);
    const without = await spoiled(
      "ALTER PUBLICATION doctor_logs RENAME TO somebody_elses",
      "ALTER PUBLICATION somebody_elses RENAME TO doctor_logs",
    );
    assert.deepEqual(bad(without), ["publication doctor_logs"]);
    assert.match(find(without, "publication doctor_logs").todo ?? "", /setup-db/);
  });

  it("compares PostgreSQL's clock with the clock given to it", async () => {
    const behind = find(await doctor(world, { now: () => Date.now() - 60_000 }), "PostgreSQL's clock");
    assert.equal(behind.state, "bad");
    assert.match(behind.saw, /is 60\.0 s ahead of this host's/);
    assert.equal(find(await doctor(world, { now: () => Date.now() + 3_000 }), "PostgreSQL's clock").state, "warn");
    assert.equal(find(await doctor(world), "PostgreSQL's clock").state, "ok");
  });

  it("sees in Arvados' file, and in changes without a log row, that audit logging is off", async () => {
    const off = find(await doctor(world, { audit: { maxAge: "0s", maxDeleteBatch: "100" } }), "audit log");
    assert.equal(off.state, "bad");
    assert.match(off.todo ?? "", /AuditLogs\.MaxAge/);
    const never = { maxAge: "0", maxDeleteBatch: AUDIT_DEFAULTS.maxDeleteBatch };
    assert.equal(find(await doctor(world, { audit: never }), "audit log").state, "ok", "rows are kept for ever");

    const touch = "UPDATE users SET modified_at = now() AT TIME ZONE 'UTC' + interval '1 hour' WHERE id = 1";
    const mend = "UPDATE users SET modified_at = now() AT TIME ZONE 'UTC' WHERE id = 1";
    assert.equal(find(await spoiled(touch, mend), "audit log").state, "bad");
    assert.equal(find(await spoiled(touch, mend, { publishSilent: true }), "audit log").state, "warn");
  });

  it("names tokens that have too many scopes, and prints nothing where there are none", async () => {
    const scopes = (count: number, more = "") =>
      `'[${more}' || (SELECT string_agg('"GET /arvados/v1/collections/zzzzz-4zz18-' || lpad(n::text, 15, '0') || '"', ',')
                        FROM generate_series(1, ${count}) n) || ']'`;
    const token = (name: string, text: string) =>
      `INSERT INTO api_client_authorizations (uuid, api_token, user_id, scopes, created_at, updated_at)
       VALUES ('zzzzz-gj3su-${name.padEnd(15, "0")}', '${name}', 1, ${text}, now(), now())`;
    const tokens = [token("few", scopes(256)), token("all", scopes(257, '"all",'))];
    const mend = "DELETE FROM api_client_authorizations WHERE api_token IN ('few', 'all', 'many', 'long')";
    const quiet = await spoiled(tokens.join(";"), mend);
    assert.ok(!quiet.some(({ name }) => name === "token scopes"));
    tokens.push(token("many", scopes(257)), token("long", `repeat('x', 70000)`));
    const { state, saw } = find(await spoiled(tokens.join(";"), mend), "token scopes");
    assert.equal(state, "warn");
    assert.match(saw, /^zzzzz-gj3su-long0{11}, zzzzz-gj3su-many0{11} have more/);
  });

  it("names the uppermost projects that are nested too deep for subjects, and says nothing where there are none", async () => {
    const uuid = (n: string) => `'zzzzz-j7d0g-deep' || lpad((${n})::text, 11, '0')`;
    const chain = (count: number) =>
      `INSERT INTO groups (uuid, owner_uuid, name, group_class, created_at, modified_at, updated_at)
       SELECT ${uuid("n")}, CASE n WHEN 1 THEN 'zzzzz-tpzed-000000000000000' ELSE ${uuid("n - 1")} END, 'deep ' || n, 'project', now(), now(), now()
         FROM generate_series(1, ${count}) n`;
    const mend = "DELETE FROM groups WHERE uuid LIKE 'zzzzz-j7d0g-deep%'";
    const quiet = await spoiled(chain(MAX_OWNERS - 1), mend);
    assert.ok(!quiet.some(({ name }) => name === "nested projects"));
    const { state, saw } = find(await spoiled(chain(MAX_OWNERS + 2), mend), "nested projects");
    assert.equal(state, "warn");
    assert.match(saw, new RegExp(`^zzzzz-j7d0g-deep0+${MAX_OWNERS} are below`));
  });

  it("names a slot of another database, and one that is missing", async () => {
    await world.postgres.createDatabase("other");
    const other = new pg.Client({ connectionString: world.postgres.url("other") });
    await other.connect();
    await world.sql.query("SELECT pg_drop_replication_slot('doctor')");
    const missing = find(await doctor(world), "slot doctor");
    assert.equal(missing.state, "bad");
    assert.match(missing.todo ?? "", /setup-db/);
    await other.query("SELECT pg_create_logical_replication_slot('doctor', 'pgoutput')");
    assert.match(find(await doctor(world), "slot doctor").saw, /belongs to database other/);
    await other.query("SELECT pg_drop_replication_slot('doctor')");
    await other.end();
    await setupDb(target(world), NAMES, { dryRun: false, print: () => {} });
    assert.notEqual(find(await doctor(world), "slot doctor").state, "bad");
  });

  it("counts the WAL that the slot keeps, and says when it is lost", async () => {
    const { sql } = world;
    await sql.query("ALTER SYSTEM SET max_slot_wal_keep_size = '32MB'");
    await sql.query("SELECT pg_reload_conf()");
    const write = async (segments: number) => {
      for (let count = 0; count < segments; count++) {
        await sql.query("SELECT pg_logical_emit_message(false, 'fill', 'x')");
        await sql.query("SELECT pg_switch_wal()");
      }
    };
    await write(1);
    assert.match(find(await doctor(world), "retained WAL").saw, /MiB of at most 32\.0 MiB/);
    await write(4);
    assert.equal(find(await doctor(world), "retained WAL").state, "bad");
    await sql.query("CHECKPOINT");
    const lost = find(await doctor(world), "slot doctor");
    assert.equal(lost.state, "bad");
    assert.match(lost.saw, /is lost/);
    assert.match(lost.todo ?? "", /max_slot_wal_keep_size/);
  });

  it("finds a PostgreSQL without logical WAL", async () => {
    const replica = await startWorld("replica");
    try {
      const findings = await doctor(replica);
      assert.equal(find(findings, "wal_level").saw, "replica");
      assert.deepEqual(bad(findings), ["wal_level", "publication doctor", "publication doctor_logs", "slot doctor"]);
    } finally {
      await endWorld(replica);
    }
  });
});
