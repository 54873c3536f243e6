/**
 * The settings of every session with PostgreSQL. An admin may have set anything for the database or the role (ALTER DATABASE/ROLE ... SET):
 * how times are written, what a name means, after how long a query ends. Our code must not depend on that, so every connection sets what
 * matters, replication connections too.
 */
import type pg from "pg";

/** Of PostgreSQL 13 and newer, and settable by any role. `lc_messages` is not: no code may read the text of a message. */
export const POSTGRES_SESSION = {
  // How values and statements are written.
  client_encoding: "UTF8",
  DateStyle: "ISO, YMD",
  IntervalStyle: "postgres",
  TimeZone: "UTC",
  extra_float_digits: "1",
  bytea_output: "hex",
  standard_conforming_strings: "on",
  backslash_quote: "safe_encoding",
  array_nulls: "on",
  transform_null_equals: "off",
  quote_all_identifiers: "off",
  // What a name refers to, and which rows are visible: where a policy would hide rows from this role, the query fails instead.
  search_path: "pg_catalog",
  role: "none",
  row_security: "off",
  // How transactions work: each statement sees what was committed before it.
  default_transaction_isolation: "read committed",
  default_transaction_read_only: "off",
  default_transaction_deferrable: "off",
  // No time limits.
  statement_timeout: "0",
  lock_timeout: "0",
  idle_in_transaction_session_timeout: "0",
  exit_on_error: "off",
  // The query of each beat takes a millisecond, and compiling it takes a hundred.
  jit: "off",
} as const;

/** Set to 0 as well. Older versions of PostgreSQL do not know them, so they cannot be set as a connection starts. */
const NEWER_TIMEOUTS = ["idle_session_timeout", "transaction_timeout"] as const;

/** The `options` of a connection's start. */
export function optionsOf(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value.replace(/[\\ ]/g, "\\$&")}`)
    .join(" ");
}

const SESSION_OPTIONS = optionsOf(POSTGRES_SESSION);

/** The admin decides after what silence a reader counts as gone. We write twice a second, so a shorter timeout makes no sense. */
const LEAST_WAL_SENDER_TIMEOUT = "1s";

/** The rest, as the first statement of a session: those that this PostgreSQL knows. */
export const SESSION_SQL = `SELECT pg_catalog.set_config(name, CASE name WHEN 'wal_sender_timeout' THEN '${LEAST_WAL_SENDER_TIMEOUT}' ELSE '0' END, false)
  FROM pg_catalog.pg_settings
 WHERE name IN (${NEWER_TIMEOUTS.map((name) => `'${name}'`).join(", ")})
    OR name = 'wal_sender_timeout' AND setting <> '0' AND setting::int < 1000`;

export function sessionConfig<T extends pg.ClientConfig>(target: T, application: string): T {
  return { application_name: application, ...target, options: SESSION_OPTIONS };
}
