/**
 * A row as the audit log has it: one line of JSON with every column of the table in its order, secrets left out.
 * Times have nine digits and `Z`; a bigint is a plain JSON number with all its digits (a container's priority exceeds 2^53); jsonb
 * and text columns that hold JSON are nested as such; other text is a string with non-ASCII characters as they are.
 */
import pg from "pg";
import { auditTime } from "./timestamps.ts";
import type { TypedRow } from "./typed-row.ts";
import type { Table } from "./uuid-maker.ts";

const { builtins } = pg.types;

/** Never logged. */
const SECRET: Partial<Record<Table, readonly string[]>> = {
  api_client_authorizations: ["api_token"],
  containers: ["secret_mounts", "secret_mounts_md5", "runtime_token"],
  container_requests: ["secret_mounts", "runtime_token"],
  credentials: ["secret"],
};

/** Text columns whose text is JSON. */
const SERIALIZED: Partial<Record<Table, readonly string[]>> = {
  users: ["prefs"],
  api_client_authorizations: ["scopes"],
  containers: ["command", "environment", "mounts", "runtime_constraints", "scheduling_parameters"],
  container_requests: ["command", "environment", "mounts", "runtime_constraints", "scheduling_parameters"],
};

export function rowJson(table: Table, row: TypedRow): string {
  const secret = SECRET[table] ?? [];
  const serialized = SERIALIZED[table] ?? [];
  const members: string[] = [];
  for (const { name, dataTypeID } of row.columns) {
    if (secret.includes(name)) continue;
    const text = row.get(name);
    const type = serialized.includes(name) ? builtins.JSON : dataTypeID;
    members.push(`${JSON.stringify(name)}:${text === null ? "null" : valueJson(text, type)}`);
  }
  return `{${members.join(",")}}`;
}

function valueJson(text: string, type: number): string {
  switch (type) {
    case builtins.BOOL:
      return text === "t" ? "true" : "false";
    case builtins.INT2:
    case builtins.INT4:
    case builtins.INT8:
    case builtins.NUMERIC:
    case builtins.FLOAT8:
      return Number.isFinite(Number(text)) ? text : "null";
    case builtins.TIMESTAMP:
      return JSON.stringify(auditTime(text));
    case builtins.JSON:
    case builtins.JSONB:
      return compact(text);
    default:
      return JSON.stringify(text);
  }
}

/** JSON without the spaces around its tokens. Not parsed: numbers keep their digits. */
function compact(json: string): string {
  return json.replace(/("(?:[^"\\]|\\.)*")|\s+/g, (_, string: string | undefined) => string ?? "");
}
