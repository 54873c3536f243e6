/** Checks that this is Arvados' database and that the bridge can follow it. Each failure is a fault with a remedy. */
import pg from "pg";
import { fault, reasonOf } from "../../core/errors.ts";
import { SESSION_SQL, sessionConfig } from "../../runtime/postgres-session.ts";
import { type Catalog, readCatalog } from "./catalog.ts";
import { ALL_TABLES, type FoundTables, lackingOf } from "./found-tables.ts";
import {
  declaredPublications,
  differencesOf,
  foundIn,
  type PublicationNames,
  repairSql,
  unfitTables,
} from "./publications.ts";
import { READ_TABLES } from "./tables.ts";

/** A pg client configuration with the fields that error messages name. `schema`: of Arvados' tables, default `public`. */
export type DatabaseTarget = pg.ClientConfig & { host: string; port: number; database: string; schema?: string };

const CONNECT_TIMEOUT_MS = 10_000;

/** Opens a session with our settings (`postgres-session.ts`). The caller ends it. */
export async function connectPostgres(target: DatabaseTarget, onError: (error: Error) => void): Promise<pg.Client> {
  const client = new pg.Client({
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    ...sessionConfig(target, "arvados-nats"),
  });
  client.on("error", onError);
  try {
    await client.connect();
    await client.query(SESSION_SQL);
  } catch (error) {
    await client.end().catch(() => {});
    throw connectFault(target, error);
  }
  return client;
}

export async function withClient<T>(target: DatabaseTarget, run: (client: pg.Client) => Promise<T>): Promise<T> {
  let lost: Error | null = null;
  const client = await connectPostgres(target, (error) => {
    lost = error;
  });
  try {
    return await run(client);
  } catch (error) {
    throw lost ?? error;
  } finally {
    await client.end();
  }
}

/** Refusals by PostgreSQL itself (SQLSTATE classes 28, 3D, 42) need another configuration; all other errors may pass. */
export function connectFault(target: DatabaseTarget, error: unknown): Error {
  const address = `${target.host}:${target.port}/${target.database}`;
  const code = (error as { code?: string }).code ?? "";
  const name = /^(28|3D|42)/.test(code) ? "postgres.refused" : "postgres.unreachable";
  return fault(name, { address, reason: reasonOf(error) || code }, { cause: error });
}

/** Reads the catalog. A required table that is missing, or that PostgreSQL cannot publish, is a fault. */
export async function fitCatalog(
  client: pg.Client,
  { database, schema = ALL_TABLES.schema }: DatabaseTarget,
  publications: readonly string[],
): Promise<Catalog> {
  const catalog = await readCatalog(client, schema, publications);
  const there = Object.fromEntries(catalog.tables.map(({ name, columns }) => [name, columns]));
  const missing = lackingOf(there).filter(({ loss }) => loss === null);
  if (missing.length > 0) {
    throw fault("postgres.missing_table", { database, missing: missing.map(({ what }) => what).join("; ") });
  }
  const unfit = unfitTables(catalog);
  if (unfit.length > 0) {
    const sql = unfit.flatMap((it) => (it.sql === null ? [] : [it.sql]));
    throw fault("postgres.unfit_table", {
      database,
      what: unfit.map(({ what }) => what).join("; "),
      sql: sql.length > 0 ? `as its owner: ${sql.join("; ")}` : "put Arvados' own table in its place",
    });
  }
  return catalog;
}

/** Without logical WAL nothing is decoded. */
export async function checkWal(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ wal_level: string }>("SHOW wal_level");
  const level = rows[0]?.wal_level ?? "unknown";
  if (level !== "logical") throw fault("postgres.no_logical_wal", { level });
}

/** A standby may lag, and its slots are not the primary's: after its promotion a bridge that follows it would read another history. */
async function checkPrimary(client: pg.Client, { host, port, database }: DatabaseTarget): Promise<void> {
  const { rows } = await client.query<{ standby: boolean }>("SELECT pg_is_in_recovery() AS standby");
  if (rows[0]?.standby) throw fault("postgres.standby", { address: `${host}:${port}/${database}` });
}

/** Tables in which row-level security hides rows from this role: a right or a revocation could be missed. */
export async function hiddenTables(client: pg.Client, schema: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1 AND c.relname = ANY($2) AND row_security_active(c.oid) ORDER BY 1`,
    [schema, Object.keys(READ_TABLES)],
  );
  return rows.map(({ name }) => name);
}

/** Checks everything that the bridge needs but the slot (`slot.ts`). */
export async function preflight(
  client: pg.Client,
  target: DatabaseTarget,
  publications: readonly string[],
): Promise<FoundTables> {
  const { database } = target;
  await checkPrimary(client, target);
  const [publication = "", logPublication = ""] = publications;
  const catalog = await fitCatalog(client, target, publications);
  const hidden = await hiddenTables(client, catalog.schema);
  if (hidden.length > 0) {
    throw fault("postgres.row_security", { database, role: String(target.user), tables: hidden.join(", ") });
  }
  await checkWal(client);
  const lacking = publications.filter((name) => !catalog.publications.some((it) => it.name === name));
  if (lacking.length > 0) throw fault("postgres.not_set_up", { database, what: lacking.join(", ") });
  const harm = harmfulDifferences({ publication, logPublication }, catalog);
  if (harm) throw fault("postgres.publication_differs", harm);
  return foundIn(catalog);
}

/** Null where the publications hold everything that the bridge reads, or more. */
export function harmfulDifferences(
  names: PublicationNames,
  catalog: Catalog,
): { difference: string; sql: string } | null {
  const harmful = declaredPublications(names, catalog).flatMap((declared) => {
    const differences = differencesOf(declared, catalog) ?? [{ what: "there is none", harm: "misses" as const }];
    const what = differences.filter(({ harm }) => harm !== "spare").map((it) => it.what);
    return what.length > 0 ? [{ what: `${declared.name}: ${what.join("; ")}`, sql: repairSql(declared, catalog) }] : [];
  });
  if (harmful.length === 0) return null;
  return { difference: harmful.map(({ what }) => what).join("; "), sql: harmful.map(({ sql }) => sql).join("; ") };
}
