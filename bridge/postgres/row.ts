/**
 * Rows of the database as pgoutput sends them. Values are text: bigint and timestamp columns stay strings. `undefined` = a long value that did
 * not change (an unchanged TOAST datum), which is not null. `TOO_LONG` = a value longer than any that Arvados writes into such a column: it is
 * not kept, and grants nothing.
 */
import type { RowId } from "../../core/rows.ts";
import type { TableName } from "./tables.ts";

/** It may have been written as JSON and read back, so compare with `isTooLong`. */
export const TOO_LONG = Object.freeze({ tooLong: true });

export function isTooLong(value: unknown): boolean {
  return typeof value === "object" && value !== null && "tooLong" in value;
}

export type RowValues = Record<string, unknown>;

export type RowChange =
  /** `id`: the value of the table's key (`KEY_OF`). `formerId`: the row had another key before. */
  | { table: TableName; op: "insert" | "update"; id: RowId; row: RowValues; formerId?: RowId }
  | { table: TableName; op: "delete"; id: RowId; row: null }
  /** Every row of the table is gone. */
  | { table: TableName; op: "truncate"; id: null; row: null };

/** Earlier than all times of Arvados: an unreadable time counts as long past. */
const LONG_AGO = 0;
/** Years after 9999 count as never. */
const TIME = /^(\d{4,6})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?( BC)?$/;

/**
 * UTC milliseconds of a `timestamp without time zone` in ISO style, which Arvados keeps in UTC. Null = never: NULL, `infinity` and years after
 * 9999. `-infinity`, years before Christ and everything that cannot be read count as past.
 */
export function utcMillis(text: unknown): number | null {
  if (text === null || text === undefined || text === "infinity") return null;
  const time = readTime(text);
  return time === undefined ? LONG_AGO : time;
}

/** Does `utcMillis` count this time as past only because it cannot be read? */
export function isUnreadableTime(text: unknown): boolean {
  return utcMillis(text) === LONG_AGO && readTime(text) === undefined;
}

/** Null: never. Undefined: it cannot be read. */
function readTime(text: unknown): number | null | undefined {
  const parts = typeof text === "string" ? TIME.exec(text) : null;
  if (!parts || parts[8] !== undefined) return undefined;
  const [, year = "", month, day, hour, minute, second, fraction = ""] = parts;
  if (year.length > 4) return null;
  const time = Date.parse(
    `${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction.padEnd(3, "0").slice(0, 3)}Z`,
  );
  return Number.isNaN(time) ? undefined : time;
}

export function textOrNull(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}
