/** Whether a publication holds what the bridge reads, and cannot make Arvados' own writes fail. Pure. */
import { type DeclaredPublication, remakeSql } from "../../bridge/setup-db.ts";
import { isTable, KEY_OF } from "../../bridge/tables.ts";
import { type Finding, judge, type Look, ok, problem } from "./finding.ts";

/** A publication as PostgreSQL has it. `columns` null: it publishes all of them (PostgreSQL 14 and older). */
export type Publication = {
  publishes: { insert: boolean; update: boolean; delete: boolean; truncate: boolean };
  tables: { name: string; columns: readonly string[] | null; filtered: boolean }[];
};

export function publicationFinding(
  wanted: DeclaredPublication,
  look: Look<Publication | null>,
  serverVersion: number,
): Finding {
  const name = `publication ${wanted.name}`;
  return judge(name, look, "see above", (publication) => {
    if (publication === null) {
      return problem("bad", name, "there is none", "run `arvados-nats setup-db` as the owner of Arvados' tables");
    }
    const wrong = [...faultsOf(wanted, publication)];
    if (wrong.length === 0) return ok(name, `${publication.tables.length} tables with the columns that are read`);
    const sql = remakeSql(wanted, serverVersion);
    return problem("bad", name, wrong.join("; "), `as its owner: ${sql}; then restart the bridge`);
  });
}

function* faultsOf(wanted: DeclaredPublication, { publishes, tables }: Publication): Generator<string> {
  for (const [table, columns] of Object.entries(wanted.tables.columns)) {
    const published = tables.find(({ name }) => name === table);
    if (!published) {
      yield `${table} is not published`;
      continue;
    }
    const lacking = columns.filter((column) => published.columns?.includes(column) === false);
    if (lacking.length > 0) yield `${table} lacks ${lacking.join(", ")}`;
    const key = isTable(table) ? KEY_OF[table] : "id";
    if (lacking.includes(key) && !wanted.insertsOnly) yield `without ${table}.${key} Arvados' own updates of it fail`;
    if (published.filtered) yield `${table} has a row filter, with which Arvados' own writes may fail`;
  }
  const kinds = wanted.insertsOnly ? (["insert"] as const) : (["insert", "update", "delete", "truncate"] as const);
  const silent = kinds.filter((kind) => !publishes[kind]);
  if (silent.length > 0) yield `it does not publish ${silent.join(", ")}`;
  if (wanted.insertsOnly && (publishes.update || publishes.delete)) yield "it publishes more than inserts";
}
