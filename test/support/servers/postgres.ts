/**
 * Real PostgreSQL for tests: one server for the mocha process, started when first asked for, which ends with the process; one
 * template database with Arvados' schema and a fresh cluster's rows; each `freshDatabase()` a copy of it (about 30 ms).
 */
import pg from "pg";
import { createSchema } from "../../../dev/database.ts";
import { type PostgresServer, startPostgres } from "../../../dev/servers/postgres.ts";
import { createSimulator, type Simulator } from "../../../dev/simulator/index.ts";

export const CLUSTER = "zzzzz";
const TEMPLATE = "arvados_template";

export type FreshDatabase = {
  /** A superuser's. */
  url: string;
  config: { host: string; port: number; user: string; password: string; database: string };
  /** Acts on this database, which holds what `seed()` makes. */
  simulator: Simulator;
  /** Rows as the driver gives them. */
  query<R extends pg.QueryResultRow>(sql: string, values?: unknown[]): Promise<R[]>;
  /** Ends sessions and replication slots, and drops it. */
  drop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

let server: Promise<PostgresServer> | undefined;
let template: Promise<void> | undefined;
let made = 0;

/** The process' PostgreSQL, with wal_level = logical. */
export function sharedPostgres(): Promise<PostgresServer> {
  server ??= startPostgres({ inMemory: true, inBackground: true });
  return server;
}

export async function freshDatabase(): Promise<FreshDatabase> {
  const postgres = await sharedPostgres();
  template ??= makeTemplate(postgres);
  await template;
  const database = `arvados_test_${++made}`;
  await postgres.createDatabase(database, { template: TEMPLATE });
  const { host, port, user, password } = postgres;
  const config = { host, port, user, password, database };
  const pool = new pg.Pool({ ...config, max: 10 });
  pool.on("error", () => {}); // drop() may cut an idle session.
  const simulator = createSimulator({ pool, clusterId: CLUSTER });
  let dropped: Promise<void> | undefined;
  const drop = () => {
    dropped ??= pool.end().then(() => postgres.dropDatabase(database));
    return dropped;
  };
  return {
    url: postgres.url(database),
    config,
    simulator,
    query: async <R extends pg.QueryResultRow>(sql: string, values: unknown[] = []) =>
      (await pool.query<R>(sql, values)).rows,
    drop,
    [Symbol.asyncDispose]: drop,
  };
}

async function makeTemplate(postgres: PostgresServer): Promise<void> {
  await postgres.createDatabase(TEMPLATE);
  await createSchema(postgres.url(TEMPLATE));
  const { host, port, user, password } = postgres;
  const simulator = createSimulator({
    connection: { host, port, user, password, database: TEMPLATE },
    clusterId: CLUSTER,
  });
  await simulator.seed();
  await simulator.close();
}
