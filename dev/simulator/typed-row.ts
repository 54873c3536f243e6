/**
 * A table row as PostgreSQL wrote it: every value is its text, nothing is converted. So a bigint keeps its digits and a time its
 * microseconds, and the audit log can be written from it exactly.
 */
import type { FieldDef } from "pg";

export class TypedRow {
  readonly columns: readonly FieldDef[];
  readonly #values: Readonly<Record<string, string | null>>;

  constructor(columns: readonly FieldDef[], values: Readonly<Record<string, string | null>>) {
    this.columns = columns;
    this.#values = values;
  }

  /** Null where it is null, or where there is no such column. */
  get(column: string): string | null {
    return this.#values[column] ?? null;
  }

  /** A value that cannot be null here. */
  need(column: string): string {
    const value = this.get(column);
    if (value === null) throw new Error(`${this.get("uuid") ?? "the row"} has no ${column}`);
    return value;
  }

  has(column: string): boolean {
    return column in this.#values;
  }
}

/** What a column can be set to. Objects and arrays become JSON, which is right for jsonb and for serialized text alike. */
export type ColumnValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | readonly unknown[]
  | { readonly [key: string]: unknown };

export type ColumnValues = Readonly<Record<string, ColumnValue | undefined>>;

/** What the driver gets. */
export function parameterOf(value: ColumnValue): string | null {
  if (value === null) return null;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
