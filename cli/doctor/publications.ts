/** Whether a publication holds what the bridge reads, and cannot make Arvados' own writes fail. Pure. */
import type { Catalog } from "../../bridge/postgres/catalog.ts";
import { type DeclaredPublication, differencesOf, repairSql } from "../../bridge/postgres/publications.ts";
import { type Finding, ok, problem } from "./finding.ts";

export function publicationFinding(declared: DeclaredPublication, catalog: Catalog): Finding {
  const name = `publication ${declared.name}`;
  const differences = differencesOf(declared, catalog);
  if (differences === null) {
    return problem("bad", name, "there is none", "run `arvados-nats setup-db` as the owner of Arvados' tables");
  }
  if (differences.length === 0) {
    return ok(name, `${Object.keys(declared.tables).length} tables with the columns that are read`);
  }
  const isHarmful = differences.some(({ harm }) => harm !== "spare");
  const saw = differences.map(({ what }) => what).join("; ");
  const todo = `\`arvados-nats setup-db\`, or as its owner: ${repairSql(declared, catalog)}; then restart the bridge`;
  return problem(isHarmful ? "bad" : "warn", name, saw, todo);
}
