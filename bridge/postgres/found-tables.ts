/** Arvados' tables in this database: an older or newer Arvados may lack some, or some of their columns. Pure. */
import { OPTIONAL_COLUMNS, OPTIONAL_TABLES, READ_TABLES, type TableName } from "./tables.ts";

export type ReadTable = keyof typeof READ_TABLES;

const READ = Object.entries(READ_TABLES) as [ReadTable, readonly string[]][];

export type FoundTables = {
  schema: string;
  /** By table: the columns that are read and exist. A table that does not exist is missing. */
  columns: Readonly<Partial<Record<ReadTable, readonly string[]>>>;
};

/** All tables and columns that are read. */
export const ALL_TABLES: FoundTables = { schema: "public", columns: READ_TABLES };

/** The table's name as SQL, independent of the session's search_path. Neither name needs escaping. */
export function sqlName({ schema }: Pick<FoundTables, "schema">, table: ReadTable): string {
  return `${schema}.${table}`;
}

export function hasTable({ columns }: FoundTables, name: string | null): name is TableName {
  return name !== null && name !== "logs" && Object.hasOwn(columns, name);
}

/** The tables and columns that are read, out of those that exist. */
export function foundOf(there: Readonly<Record<string, readonly string[]>>, schema: string): FoundTables {
  const found = READ.flatMap(([table, wanted]) => {
    const columns = there[table];
    return columns ? [[table, wanted.filter((column) => columns.includes(column))] as const] : [];
  });
  return { schema, columns: Object.fromEntries(found) };
}

/** A table or column that does not exist; `loss`: what that costs, null = nothing works without it. */
export type Lack = { what: string; loss: string | null };

/** The tables and columns that are read and do not exist. */
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
