/** Rows that say something that cannot be understood, and so grant nothing: what they are, and what to do. Pure. */
import { type Finding, findingOf, type Look, ok, problem } from "./finding.ts";

/** How many there are, and the uuids of some. */
type OddRows = { what: string; count: number; examples: readonly string[] };

export type ContentFacts = {
  odd: readonly OddRows[];
};

const NAME = "rows";

export function contentFinding(look: Look<ContentFacts>): Finding {
  return findingOf(NAME, look, "let this role read the tables (see grants)", ({ odd }) => {
    const found = odd.filter(({ count }) => count > 0);
    if (found.length === 0) return ok(NAME, "all of those that grant rights can be understood");
    const saw = found
      .map(
        ({ what, count, examples }) =>
          `${count} ${what} (${examples.join(", ")}${count > examples.length ? ", ..." : ""})`,
      )
      .join("; ");
    const todo =
      "they grant nothing, and nothing waits for them. Mend them in Arvados, or by SQL: times to NULL or a date, scopes to a short list, uuids to whole ones";
    return problem("warn", NAME, saw, todo);
  });
}

/** What is looked for, as SQL conditions: rows in which the bridge would find a value that it cannot understand. */
export const ODD: readonly {
  what: string;
  table: "api_client_authorizations" | "groups" | "links" | "users";
  where: string;
}[] = [
  {
    what: "tokens that end at no readable time",
    table: "api_client_authorizations",
    where: unreadable("expires_at"),
  },
  {
    what: "tokens that are refreshed at no readable time",
    table: "api_client_authorizations",
    where: unreadable("refreshes_at"),
  },
  { what: "groups trashed at no readable time", table: "groups", where: unreadable("trash_at") },
  ...(["users", "groups", "links"] as const).map((table) => ({
    what: `${table} without a uuid as Arvados makes them`,
    table,
    where: `(uuid IS NULL OR uuid !~ '^[0-9a-z]{5}-[0-9a-z]{5}-[0-9a-z]{15}$')${table === "links" ? " AND link_class = 'permission'" : ""}`,
  })),
];

/** Before year 1 of our time, `-infinity` too. */
function unreadable(column: string): string {
  return `${column} < '0001-01-01'`;
}
