/** Projects nested so deep that events about what is in them have no subject, or lack some (`core/routes.ts`). */
import type pg from "pg";
import { sqlName } from "../../bridge/postgres/found-tables.ts";
import { MAX_ROUTE_BYTES } from "../../core/routes.ts";
import { infixOf } from "../../core/uuid.ts";
import { type Finding, problem, type Reading } from "./finding.ts";

/** Enough to find who creates them. */
const SHOWN = 5;
/** A uuid and the dot behind it; the longest prefix of a route, and its end: the object's uuid and kind. */
const OWNER_BYTES = 28;
const AROUND_BYTES = "@managed.".length + OWNER_BYTES + OWNER_BYTES + "container_requests".length;
/** Owners above an object, with which all its routes are short enough: a user and the projects below. */
export const MAX_OWNERS = Math.floor((MAX_ROUTE_BYTES - AROUND_BYTES) / OWNER_BYTES);

/** The uppermost of them, some. */
export async function readDeepProjects(client: pg.Client, schema: string): Promise<string[]> {
  const groups = sqlName({ schema }, "groups");
  const { rows } = await client.query<{ uuid: string }>(
    `WITH RECURSIVE nested (uuid, owners) AS (
       SELECT uuid::text, 2 FROM ${groups} WHERE owner_uuid LIKE '_____-${infixOf("users")}-%'
       UNION ALL
       SELECT g.uuid::text, n.owners + 1 FROM nested n JOIN ${groups} g ON g.owner_uuid = n.uuid WHERE n.owners <= $1)
     SELECT uuid FROM nested WHERE owners = $1 + 1 ORDER BY uuid LIMIT ${SHOWN}`,
    [MAX_OWNERS],
  );
  return rows.map(({ uuid }) => uuid);
}

/** Nothing where there are none; where the role may not read groups, the finding about grants says so. */
export function deepProjectFindings(look: Reading<string[]> | undefined): Finding[] {
  if (!look || "failed" in look || look.seen.length === 0) return [];
  const more = look.seen.length === SHOWN ? " and perhaps others" : "";
  const saw = `${look.seen.join(", ")}${more} are below ${MAX_OWNERS - 1} projects: events about what is in them lack subjects`;
  return [
    problem(
      "warn",
      "nested projects",
      saw,
      "move them up in Arvados; until then clients see their content by reading it",
    ),
  ];
}
