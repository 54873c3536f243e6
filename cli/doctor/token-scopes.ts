/** Tokens that sign in nowhere because they have more scopes than count (core/token/scopes.ts). */
import type pg from "pg";
import { sqlName } from "../../bridge/postgres/found-tables.ts";
import { MAX_SCOPES, MAX_SCOPES_TEXT } from "../../core/token/scopes.ts";
import { type Finding, type Look, problem } from "./finding.ts";

/** Enough to find who makes them. */
const SHOWN = 5;
const OBJECT = '"GET /arvados/v1/';

/** Their uuids, some of them. Counted as text: what names an object twice may stand here and be let in all the same. */
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

/** Nothing where there are none; what the role may not read is said by its grants. */
export function overScopesFindings(look: Look<string[]> | undefined): Finding[] {
  if (!look || "failed" in look || look.seen.length === 0) return [];
  const more = look.seen.length === SHOWN ? " and perhaps others" : "";
  const saw = `${look.seen.join(", ")}${more} have more than ${MAX_SCOPES} objects, or ${MAX_SCOPES_TEXT / 1024} kB of text, in their scopes`;
  const todo =
    "they sign in nowhere (token.scopes): give their users tokens of scope `all` or `GET /`, or one for each task";
  return [problem("warn", "token scopes", saw, todo)];
}
