/**
 * What PostgreSQL must publish for the bridge, how the actual publications differ, and the SQL that repairs them. Pure.
 * PostgreSQL does not report what a publication lacks: it decodes the commit without it, and a revocation is missed.
 */
import pg from "pg";
import type { Catalog, CatalogPublication, CatalogTable, Keyed } from "./catalog.ts";
import { type FoundTables, foundOf, type ReadTable, sqlName } from "./found-tables.ts";
import { isTable, KEY_OF } from "./tables.ts";

export type PublicationNames = { publication: string; logPublication: string };

/** What a publication must hold: the columns by table, null = all of them. */
export type DeclaredPublication = {
  name: string;
  schema: string;
  tables: Readonly<Partial<Record<ReadTable, readonly string[] | null>>>;
  insertsOnly: boolean;
};

/** `misses`: changes are not decoded. `breaks`: Arvados' own writes fail. `spare`: it costs time and space only. */
export type Harm = "misses" | "breaks" | "spare";

export type PublicationDifference = { what: string; harm: Harm };

/** A table that no publication can publish correctly; `sql` repairs it, null = a statement is not enough. */
export type Unfit = { what: string; sql: string | null };

/** Publications have column lists since PostgreSQL 15; older ones publish all columns, and the bridge skips those that it does not read. */
const COLUMN_LISTS_SINCE = 150_000;

const KINDS: Readonly<Record<string, string>> = {
  v: "a view",
  m: "a materialized view",
  f: "a foreign table",
};

export function foundIn({ tables, schema }: Catalog): FoundTables {
  return foundOf(Object.fromEntries(tables.map(({ name, columns }) => [name, columns])), schema);
}

/** Both publications, for the tables that exist. */
export function declaredPublications(
  names: PublicationNames,
  catalog: Catalog,
): [DeclaredPublication, DeclaredPublication] {
  const { schema, columns } = foundIn(catalog);
  const { logs = [], ...records } = columns;
  const published = Object.entries(records).map(([name, read]) => {
    const table = catalog.tables.find((it) => it.name === name);
    return [name, publishedColumns(catalog.version, read, table ? keyedOf(table) : [])] as const;
  });
  return [
    { name: names.publication, schema, tables: Object.fromEntries(published), insertsOnly: false },
    {
      name: names.logPublication,
      schema,
      tables: { logs: publishedColumns(catalog.version, logs, []) },
      insertsOnly: true,
    },
  ];
}

/** A column list must hold the replica identity. With the full row as identity every list makes Arvados' own updates fail. */
function publishedColumns(version: number, read: readonly string[], keyed: readonly Keyed[]): readonly string[] | null {
  if (version < COLUMN_LISTS_SINCE || keyed.some(({ identity }) => identity === "f")) return null;
  return [...new Set([...read, ...keyed.flatMap(({ identityColumns }) => identityColumns)])];
}

/** The tables that hold its rows: itself, or its partitions. */
function keyedOf({ leaves, ...table }: CatalogTable): readonly Keyed[] {
  return table.kind === "p" ? leaves : [table];
}

export function unfitTables({ tables, schema }: Catalog): Unfit[] {
  return tables.flatMap((table): Unfit[] => {
    const name = sqlName({ schema }, table.name);
    const kind = KINDS[table.kind];
    if (kind) return [{ what: `${name} is ${kind}, which PostgreSQL does not decode`, sql: null }];
    const unfit: Unfit[] = [];
    if (table.persistence === "u") {
      unfit.push({
        what: `${name} is unlogged, which PostgreSQL does not decode`,
        sql: `ALTER TABLE ${name} SET LOGGED`,
      });
    }
    for (const heir of table.heirs) {
      unfit.push({
        what: `${heir} inherits from ${name}, and what is written to it is published under its own name`,
        sql: `ALTER TABLE ${heir} NO INHERIT ${name}`,
      });
    }
    for (const leaf of table.leaves) {
      if (KINDS[leaf.kind])
        unfit.push({ what: `${leaf.name}, a partition of ${name}, is ${KINDS[leaf.kind]}`, sql: null });
    }
    if (!isTable(table.name)) return unfit;
    const key = KEY_OF[table.name];
    return [
      ...unfit,
      ...keyedOf({ ...table }).flatMap((keyed) => unkeyed(table.kind === "p" ? keyed.name : name, keyed, key)),
    ];
  });
}

/** Problems with what identifies a row in updates and deletes of the table. */
function unkeyed(name: string, { identity, identityColumns }: Keyed, key: string): Unfit[] {
  const set = (to: string) => `ALTER TABLE ${name} REPLICA IDENTITY ${to}`;
  if (identity === "f" || identityColumns.includes(key)) return [];
  if (identity === "n") {
    return [
      { what: `${name} has REPLICA IDENTITY NOTHING, with which Arvados' own updates fail`, sql: set("DEFAULT") },
    ];
  }
  if (identity === "d" && identityColumns.length === 0) {
    return [
      {
        what: `${name} has no primary key, without which Arvados' own updates fail`,
        sql: `ALTER TABLE ${name} ADD PRIMARY KEY (${key})`,
      },
    ];
  }
  const has = identityColumns.length === 0 ? "an index that is gone" : identityColumns.join(", ");
  return [
    {
      what: `${name} has as its replica identity ${has}, without ${key}`,
      sql: set(identity === "i" ? "DEFAULT" : "FULL"),
    },
  ];
}

/** How the publication differs from what is declared, the harmful differences first. Null: it does not exist. */
export function differencesOf(declared: DeclaredPublication, catalog: Catalog): PublicationDifference[] | null {
  const publication = catalog.publications.find(({ name }) => name === declared.name);
  if (!publication) return null;
  const differences = [
    ...tableDifferences(declared, publication, catalog),
    ...kindDifferences(declared, publication),
    ...spareTables(declared, publication),
  ];
  return differences.sort((a, b) => Number(a.harm === "spare") - Number(b.harm === "spare"));
}

function* tableDifferences(
  { tables, schema, insertsOnly }: DeclaredPublication,
  publication: CatalogPublication,
  catalog: Catalog,
): Generator<PublicationDifference> {
  const anyOf = publication.all || publication.schemas.includes(schema);
  let spare = !publication.viaRoot;
  for (const [name, wanted] of Object.entries(tables)) {
    const listed = publication.tables.find((table) => table.schema === schema && table.name === name);
    const isPartitioned = catalog.tables.find((table) => table.name === name)?.kind === "p";
    if (!listed && !anyOf) {
      yield { what: `${name} is not published`, harm: "misses" };
      continue;
    }
    if (isPartitioned && !publication.viaRoot) {
      spare = false;
      yield {
        what: `${name} is partitioned, and its rows are published under the names of its partitions`,
        harm: "misses",
      };
    }
    const columns = listed?.columns ?? null;
    if (listed?.filtered) {
      yield { what: `${name} has a row filter, with which Arvados' own writes may fail`, harm: "misses" };
    }
    if (wanted === null) {
      if (columns === null) continue;
      yield {
        what: `${name} is published by columns, with which its REPLICA IDENTITY FULL makes Arvados' own updates fail`,
        harm: "breaks",
      };
      continue;
    }
    const lacking = wanted.filter((column) => columns?.includes(column) === false);
    if (lacking.length > 0) yield { what: `${name} lacks ${lacking.join(", ")}`, harm: "misses" };
    const key = isTable(name) && !insertsOnly ? KEY_OF[name] : "";
    if (lacking.includes(key)) yield { what: `without ${name}.${key} Arvados' own updates of it fail`, harm: "breaks" };
    const extra = columns?.filter((column) => !wanted.includes(column)) ?? null;
    if (extra === null) yield { what: `${name} is published whole, with columns that are not read`, harm: "spare" };
    else if (extra.length > 0) yield { what: `${name} is published with ${extra.join(", ")} too`, harm: "spare" };
  }
  if (spare) yield { what: "it does not publish partitions under the name of their table", harm: "spare" };
}

function* kindDifferences(
  { insertsOnly }: DeclaredPublication,
  { publishes }: CatalogPublication,
): Generator<PublicationDifference> {
  const kinds = insertsOnly ? (["insert"] as const) : (["insert", "update", "delete", "truncate"] as const);
  const silent = kinds.filter((kind) => !publishes[kind]);
  if (silent.length > 0) yield { what: `it does not publish ${silent.join(", ")}`, harm: "misses" };
  if (insertsOnly && (publishes.update || publishes.delete || publishes.truncate)) {
    yield { what: "it publishes more than inserts", harm: "spare" };
  }
}

function* spareTables(
  { tables, schema }: DeclaredPublication,
  publication: CatalogPublication,
): Generator<PublicationDifference> {
  if (publication.all) yield { what: "it is FOR ALL TABLES, with which Arvados' own writes fail", harm: "breaks" };
  for (const name of publication.schemas) {
    yield { what: `it is FOR TABLES IN SCHEMA ${name}, with which Arvados' own writes may fail`, harm: "breaks" };
  }
  const writes = publication.publishes.update || publication.publishes.delete;
  for (const table of publication.tables) {
    if (table.schema === schema && Object.hasOwn(tables, table.name)) continue;
    const name = `${table.schema}.${table.name}`;
    if (isTable(table.name) || table.name === "logs") {
      yield { what: `${name} is published, which has the name of one of Arvados' tables`, harm: "misses" };
    } else if (writes && !table.keyed) {
      yield { what: `${name} is published, which has no key, so that its own updates fail`, harm: "breaks" };
    } else yield { what: `${name} is published too`, harm: "spare" };
  }
}

const kindsOf = ({ insertsOnly }: DeclaredPublication) => (insertsOnly ? "insert" : "insert, update, delete, truncate");

export function createSql(declared: DeclaredPublication): string {
  return `CREATE PUBLICATION ${pg.escapeIdentifier(declared.name)} FOR TABLE ${tableList(declared)} WITH (publish = '${kindsOf(declared)}', publish_via_partition_root = true)`;
}

/** Creates the publication or repairs it. To be run as one transaction, so that a publication always exists. */
export function repairSql(declared: DeclaredPublication, catalog: Catalog): string {
  const found = catalog.publications.find((it) => it.name === declared.name);
  const name = pg.escapeIdentifier(declared.name);
  if (!found) return createSql(declared);
  // PostgreSQL cannot alter a publication of this kind.
  if (found.all) return `DROP PUBLICATION ${name}; ${createSql(declared)}`;
  return `ALTER PUBLICATION ${name} SET TABLE ${tableList(declared)}; ALTER PUBLICATION ${name} SET (publish = '${kindsOf(declared)}', publish_via_partition_root = true)`;
}

function tableList({ tables, schema }: DeclaredPublication): string {
  return (Object.entries(tables) as [ReadTable, readonly string[] | null][])
    .map(([table, columns]) => `${sqlName({ schema }, table)}${columns === null ? "" : ` (${columns.join(", ")})`}`)
    .join(", ");
}
