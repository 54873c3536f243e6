/** Rows with values that cannot be understood, which therefore grant nothing. Pure. */
import { type Finding, findingOf, ok, problem, type Reading } from "./finding.ts";

/** How many there are, and the uuids of some. */
type OddRows = { what: string; count: number; examples: readonly string[] };

export type ContentFacts = {
  odd: readonly OddRows[];
};

const NAME = "rows";

export function contentFinding(reading: Reading<ContentFacts>): Finding {
  return findingOf(NAME, reading, "let this role read the tables (see grants)", ({ odd }) => {
    const found = odd.filter(({ count }) => count > 0);
    if (found.length === 0) return ok(NAME, "all of those that grant rights can be understood");
    const saw = found
      .map(
        ({ what, count, examples }) =>
          `${count} ${what} (${examples.join(", ")}${count > examples.length ? ", ..." : ""})`,
      )
      .join("; ");
    const todo =
      "they grant nothing, and nothing waits for them. Correct them in Arvados, or by SQL: times to NULL or a date, scopes to a short list, uuids to whole ones";
    return problem("warn", NAME, saw, todo);
  });
}

/** SQL conditions for rows with a value that the bridge cannot understand. */
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

/** Before year 1, also `-infinity`. */
function unreadable(column: string): string {
  return `${column} < '0001-01-01'`;
}
