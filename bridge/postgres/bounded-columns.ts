/** Columns as SQL reads them: of a long text only as much as shows that it is too long, so that no row is much larger than others. */
import type { FoundTables } from "./found-tables.ts";
import { type RowValues, TOO_LONG } from "./row.ts";
import { type TableName, TEXT_BYTES } from "./tables.ts";

/** The columns of a table that may hold more than 255 characters. */
const LONG: ReadonlySet<string> = new Set(["scopes", "runtime_token", "current_version_uuid"]);

export function columnsSql({ columns }: FoundTables, table: TableName): string {
  const names: readonly string[] = columns[table] ?? [];
  return names.map((name) => (LONG.has(name) ? `left(${name}, ${textBytes(name) + 1}) AS ${name}` : name)).join(", ");
}

/** The row with the same bounds on its values as in the replication stream. */
export function boundedRow(row: RowValues): RowValues {
  for (const name in row) {
    const value = row[name];
    if (typeof value === "string" && Buffer.byteLength(value) > textBytes(name)) row[name] = TOO_LONG;
  }
  return row;
}

/** Bytes of a column's text that are read. */
export function textBytes(name: string): number {
  return name in TEXT_BYTES ? TEXT_BYTES[name as keyof typeof TEXT_BYTES] : TEXT_BYTES.other;
}
