/**
 * Opens PostgreSQL for one term: its connections, the watch on the catalogs, the slot and the replication feed. When it resolves, this bridge is
 * the leader, because PostgreSQL admits one reader of the slot. `term.ts` calls it.
 */
import type pg from "pg";
import type { Scope } from "../runtime/scope.ts";
import { Replication, type ReplicationOptions } from "./commit/replication.ts";
import type { Guards } from "./guards.ts";
import { ALL_TABLES, type FoundTables } from "./postgres/found-tables.ts";
import { connectPostgres, type DatabaseTarget, preflight } from "./postgres/preflight.ts";
import type { SetupNames } from "./postgres/setup-db.ts";
import { confirmedPosition, ensureSlot, identifySystem, type Slot } from "./postgres/slot.ts";

export type SourceOptions = {
  database: DatabaseTarget;
  names: SetupNames;
  /** An earlier term found that PostgreSQL cannot decode what the slot keeps: the slot is created again. */
  slotIsUnreadable: boolean;
  guards: Guards;
};

export type Source = {
  sql: pg.Client;
  tables: FoundTables;
  catalogs: Awaited<ReturnType<Guards["watchCatalogs"]>>;
  replication: Replication;
  slot: Slot;
  system: Awaited<ReturnType<typeof identifySystem>>;
};

/** `onLost`: a connection broke, or replication ended. */
export type SourceListener = Pick<ReplicationOptions, "onCommit" | "onQuiet" | "onPassed"> & {
  onLost: (error: unknown) => void;
};

/** `scope` releases what it acquires. @throws slot.busy while another bridge leads, postgres.* */
export async function openSource(options: SourceOptions, listener: SourceListener, scope: Scope): Promise<Source> {
  const { database, names, guards, slotIsUnreadable } = options;
  const { onLost, ...feed } = listener;
  const connect = async (what: string): Promise<pg.Client> => {
    const client = await connectPostgres(database, onLost);
    scope.defer(what, () => client.end());
    return client;
  };
  const sql = await connect("PostgreSQL connection");
  // Before the tables are checked, so that a change from here on is noticed.
  const watchSql = await connect("PostgreSQL connection that watches the catalogs");
  const catalogs = await guards.watchCatalogs(watchSql, database.schema ?? ALL_TABLES.schema, names);
  const publications = [names.publication, names.logPublication];
  const tables = await preflight(sql, database, publications);
  const { isNew } = await ensureSlot(sql, names.slot, slotIsUnreadable);
  const replication = await Replication.open({
    connection: database,
    slot: names.slot,
    publications,
    schema: tables.schema,
    ...feed,
  });
  scope.defer("replication", () => replication.stop());
  void replication.ended.then((error) => onLost(error ?? new Error("replication has ended")));
  // Only now: an older leader may have confirmed until its last moment.
  const slot = { isNew, confirmed: await confirmedPosition(sql, names.slot) };
  return { sql, tables, catalogs, replication, slot, system: await identifySystem(database) };
}
