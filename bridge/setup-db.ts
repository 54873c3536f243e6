/** What `arvados-nats setup-db` does to Arvados' database: two publications and a replication slot. No table is altered. */
import pg from "pg";
import { fault } from "../core/errors.ts";
import { type FoundTables, type ReadTable, recordTables, sqlName } from "./found-tables.ts";
import { checkTables, checkWal, type DatabaseTarget, serverVersion, withClient } from "./preflight.ts";
import { slotSql } from "./slot.ts";

export type SetupNames = { slot: string; publication: string; logPublication: string };

export type SetupStep = { what: string; sql: string };

/** Column lists in publications exist since PostgreSQL 15; before, whole tables are published and columns dropped at the door. */
const COLUMN_LISTS_SINCE = 150_000;

/** What a publication should hold: the columns by table, of the tables that Arvados has here. */
export type DeclaredPublication = {
  name: string;
  tables: FoundTables;
  insertsOnly: boolean;
};

export function declaredPublications(
  names: SetupNames,
  { schema, columns: { logs = [], ...records } }: FoundTables,
): [DeclaredPublication, DeclaredPublication] {
  return [
    { name: names.publication, tables: { schema, columns: records }, insertsOnly: false },
    { name: names.logPublication, tables: { schema, columns: { logs } }, insertsOnly: true },
  ];
}

/** Brings a publication that is there into line, without a moment in which there is none. */
export function remakeSql(publication: DeclaredPublication, serverVersion: number): string {
  const name = pg.escapeIdentifier(publication.name);
  const kinds = publication.insertsOnly ? "insert" : "insert, update, delete, truncate";
  return `ALTER PUBLICATION ${name} SET TABLE ${tableList(publication, serverVersion)}; ALTER PUBLICATION ${name} SET (publish = '${kinds}')`;
}

function tableList({ tables }: DeclaredPublication, serverVersion: number): string {
  return (Object.entries(tables.columns) as [ReadTable, readonly string[]][])
    .map(([table, columns]) => {
      const name = sqlName(tables, table);
      return serverVersion >= COLUMN_LISTS_SINCE ? `${name} (${columns.join(", ")})` : name;
    })
    .join(", ");
}

/** The statements for a database that has `tables`, without those whose object `exists` already. Pure. */
export function setupSteps(
  names: SetupNames,
  tables: FoundTables,
  serverVersion: number,
  exists: { publications: readonly string[]; slots: readonly string[] },
): SetupStep[] {
  const quote = (name: string) => pg.escapeIdentifier(name);
  const [records, logs] = declaredPublications(names, tables);
  const steps = [
    {
      kind: "publications" as const,
      name: names.publication,
      what: `publication ${names.publication} of ${recordTables(tables).length} tables`,
      sql: `CREATE PUBLICATION ${quote(names.publication)} FOR TABLE ${tableList(records, serverVersion)}`,
    },
    {
      kind: "publications" as const,
      name: names.logPublication,
      what: `publication ${names.logPublication} of inserted log rows`,
      sql: `CREATE PUBLICATION ${quote(names.logPublication)} FOR TABLE ${tableList(logs, serverVersion)} WITH (publish = 'insert')`,
    },
    {
      kind: "slots" as const,
      name: names.slot,
      what: `replication slot ${names.slot}`,
      sql: slotSql(names.slot, serverVersion),
    },
  ];
  return steps.filter((step) => !exists[step.kind].includes(step.name)).map(({ what, sql }) => ({ what, sql }));
}

/** Makes what is missing and prints each step; with `dryRun` prints the SQL only. Returns the steps. */
export async function setupDb(
  target: DatabaseTarget,
  names: SetupNames,
  { dryRun, print }: { dryRun: boolean; print: (line: string) => void },
): Promise<SetupStep[]> {
  return withClient(target, async (client) => {
    const tables = await checkTables(client, target);
    // The dry run shows what is to come, whatever has to be done before.
    if (!dryRun) await checkWal(client);
    const publications = await namesOf(client, "SELECT pubname AS name FROM pg_publication");
    const slots = await namesOf(client, "SELECT slot_name AS name FROM pg_replication_slots");
    const steps = setupSteps(names, tables, await serverVersion(client), { publications, slots });
    for (const step of steps) {
      if (dryRun) {
        print(`${step.sql};`);
        continue;
      }
      await client.query(step.sql).catch((error: Error) => {
        throw fault(
          "postgres.not_set_up",
          { database: target.database, what: `${step.what}: ${error.message}` },
          { cause: error },
        );
      });
      print(`made ${step.what}`);
    }
    if (steps.length === 0) print("nothing to do: publications and slot are there");
    return steps;
  });
}

async function namesOf(client: pg.Client, sql: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(sql);
  return rows.map((row) => row.name);
}
