/** Tokens that cannot log in because they have too many scopes (core/token/scopes.ts). */
import type pg from "pg";
import { sqlName } from "../../bridge/postgres/found-tables.ts";
import { MAX_SCOPES, MAX_SCOPES_TEXT } from "../../core/token/scopes.ts";
import { type Finding, problem, type Reading } from "./finding.ts";

/** Enough to find who creates them. */
const SHOWN = 5;
const OBJECT = '"GET /arvados/v1/';

/** The uuids of some of them. Objects are counted in the text, so a token that names one object several times may be listed and still log in. */
export async function readOverScopes(client: pg.Client, schema: string): Promise<string[]> {
  const { rows } = await client.query<{ uuid: string }>(
    `SELECT uuid FROM ${sqlName({ schema }, "api_client_authorizations")}
      WHERE length(scopes) > $1
         OR (length(scopes) > $2 AND scopes NOT LIKE '%"all"%' AND scopes NOT LIKE '%"GET /"%'
             AND (length(scopes) - length(replace(scopes, $3, ''))) / length($3) > $4)
      ORDER BY uuid LIMIT ${SHOWN}`,
    [MAX_SCOPES_TEXT, MAX_SCOPES * OBJECT.length, OBJECT, MAX_SCOPES],
  );
  return rows.map(({ uuid }) => uuid);
}

/** Empty where there are none; that the role may not read them shows in `grants`. */
export function overScopesFindings(reading: Reading<string[]> | undefined): Finding[] {
  if (!reading || "failed" in reading || reading.seen.length === 0) return [];
  const more = reading.seen.length === SHOWN ? " and perhaps others" : "";
  const saw = `${reading.seen.join(", ")}${more} have more than ${MAX_SCOPES} objects, or ${MAX_SCOPES_TEXT / 1024} kB of text, in their scopes`;
  const todo =
    "they cannot log in (token.scopes): give their users tokens of scope `all` or `GET /`, or one for each task";
  return [problem("warn", "token scopes", saw, todo)];
}
