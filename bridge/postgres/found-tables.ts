/** Arvados' tables as they are in this database: an older or newer Arvados may lack some, or some of their columns. Pure. */
import { OPTIONAL_COLUMNS, OPTIONAL_TABLES, READ_TABLES, type TableName } from "./tables.ts";

export type ReadTable = keyof typeof READ_TABLES;

const READ = Object.entries(READ_TABLES) as [ReadTable, readonly string[]][];

export type FoundTables = {
  schema: string;
  /** By table: the columns that are read and that are there. A table that is not there is missing. */
  columns: Readonly<Partial<Record<ReadTable, readonly string[]>>>;
};

/** All that is read, as an Arvados of today has it. */
export const ALL_TABLES: FoundTables = { schema: "public", columns: READ_TABLES };

/** The table's name in SQL, whatever the session's search_path is. Both are names without anything to escape. */
export function sqlName({ schema }: Pick<FoundTables, "schema">, table: ReadTable): string {
  return `${schema}.${table}`;
}

export function hasTable({ columns }: FoundTables, name: string | null): name is TableName {
  return name !== null && name !== "logs" && Object.hasOwn(columns, name);
}

/** What is read of those tables, by all the columns that each has. */
export function foundOf(there: Readonly<Record<string, readonly string[]>>, schema: string): FoundTables {
  const found = READ.flatMap(([table, wanted]) => {
    const columns = there[table];
    return columns ? [[table, wanted.filter((column) => columns.includes(column))] as const] : [];
  });
  return { schema, columns: Object.fromEntries(found) };
}

/** A table or a column of it that is not there; `loss`: what that costs, null = nothing works without it. */
export type Lack = { what: string; loss: string | null };

/** What is read and not there, by the columns of each table that is. Pure. */
export function lackingOf(there: Readonly<Record<string, readonly string[]>>): Lack[] {
  return READ.flatMap(([table, wanted]): Lack[] => {
    const columns = there[table];
    const tables: Readonly<Record<string, string | undefined>> = OPTIONAL_TABLES;
    if (columns === undefined) return [{ what: `table ${table}`, loss: tables[table] ?? null }];
    const optional: Readonly<Record<string, Record<string, string> | undefined>> = OPTIONAL_COLUMNS;
    return wanted
      .filter((column) => !columns.includes(column))
      .map((column) => ({ what: `${table}.${column}`, loss: optional[table]?.[column] ?? null }));
  });
}
