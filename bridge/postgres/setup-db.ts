/** Sets up Arvados' database for the bridge (`arvados-nats setup-db`): two publications and a replication slot. No table is altered. */
import type pg from "pg";
import { fault } from "../../core/errors.ts";
import type { Catalog } from "./catalog.ts";
import { checkWal, type DatabaseTarget, fitCatalog, withClient } from "./preflight.ts";
import { createSql, declaredPublications, differencesOf, repairSql } from "./publications.ts";
import { slotSql } from "./slot.ts";

export type SetupNames = { slot: string; publication: string; logPublication: string };

/** `done`: the verb that reports it. `sql` is one transaction. */
export type SetupStep = { what: string; done: "made" | "brought into line"; sql: string };

/** The steps that this database needs; none where nothing differs. Pure. */
export function setupSteps(names: SetupNames, catalog: Catalog, slots: readonly string[]): SetupStep[] {
  const [records, logs] = declaredPublications(names, catalog);
  const contents = [
    { declared: records, what: `of ${Object.keys(records.tables).length} tables` },
    { declared: logs, what: "of inserted log rows" },
  ];
  const steps = contents.flatMap(({ declared, what }): SetupStep[] => {
    const name = `publication ${declared.name}`;
    const differences = differencesOf(declared, catalog);
    if (differences === null) return [{ what: `${name} ${what}`, done: "made", sql: createSql(declared) }];
    if (differences.length === 0) return [];
    const differed = differences.map((difference) => difference.what).join("; ");
    return [{ what: `${name} (${differed})`, done: "brought into line", sql: repairSql(declared, catalog) }];
  });
  if (!slots.includes(names.slot)) {
    const what = `replication slot ${names.slot}`;
    steps.push({ what, done: "made", sql: slotSql(names.slot, catalog.version) });
  }
  return steps;
}

/** Creates what is missing, repairs what differs, and prints each step; with `dryRun` prints the SQL only. Returns the steps. */
export async function setupDb(
  target: DatabaseTarget,
  names: SetupNames,
  { dryRun, print }: { dryRun: boolean; print: (line: string) => void },
): Promise<SetupStep[]> {
  return withClient(target, async (client) => {
    const catalog = await fitCatalog(client, target, [names.publication, names.logPublication]);
    // The dry run prints the SQL even where wal_level has to be changed first.
    if (!dryRun) await checkWal(client);
    const steps = setupSteps(names, catalog, await slotNames(client));
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
      print(`${step.done} ${step.what}`);
    }
    if (steps.length === 0) print("nothing to do: publications and slot are there, as they should be");
    return steps;
  });
}

async function slotNames(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>("SELECT slot_name AS name FROM pg_replication_slots");
  return rows.map(({ name }) => name);
}
