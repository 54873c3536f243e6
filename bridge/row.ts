/**
 * Rows of the database as pgoutput sends them. Values are text: bigint and timestamp columns stay strings. `undefined` = a long value
 * that did not change (an unchanged TOAST datum), which is not the same as null.
 */
import type { RowKey, TableName } from "./tables.ts";

export type Row = Record<string, unknown>;

/** `id`: the value of the table's key (`KEY_OF`). */
export type RowChange =
  | { table: TableName; op: "insert" | "update"; id: RowKey; row: Row }
  | { table: TableName; op: "delete"; id: RowKey; row: null };

/** UTC milliseconds of a `timestamp without time zone`, which Arvados keeps in UTC; null for NULL and infinity (never). */
export function utcMillis(text: unknown): number | null {
  if (typeof text !== "string") return null;
  const time = Date.parse(`${text.replace(" ", "T")}Z`);
  return Number.isNaN(time) ? null : time;
}

export function textOrNull(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}
