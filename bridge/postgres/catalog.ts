/** Reads PostgreSQL's catalogs about the tables that are read and the publications: in full, and as a cheap fingerprint. */
import pg from "pg";
import type { ReadTable } from "./found-tables.ts";
import { READ_TABLES } from "./tables.ts";

/** `relreplident`: the primary key, nothing, the full row, an index. */
export type ReplicaIdentity = "d" | "n" | "f" | "i";

/** A table that holds rows: what identifies the row of an update or delete. */
export type Keyed = {
  /** As SQL. */
  name: string;
  /** `relkind`. */
  kind: string;
  identity: ReplicaIdentity;
  /** Of the key or the index; empty where there is none, or where the identity is the full row. */
  identityColumns: readonly string[];
};

export type CatalogTable = Omit<Keyed, "name"> & {
  name: ReadTable;
  columns: readonly string[];
  /** `relpersistence`. */
  persistence: string;
  /** Tables that inherit from it and are no partitions, as SQL. */
  heirs: readonly string[];
  /** The partitions that hold its rows, where it is partitioned. */
  leaves: readonly Keyed[];
};

/** `columns` null: all of them. */
export type PublishedTable = {
  schema: string;
  name: string;
  columns: readonly string[] | null;
  filtered: boolean;
  /** It has a replica identity. */
  keyed: boolean;
};

export type CatalogPublication = {
  name: string;
  publishes: { insert: boolean; update: boolean; delete: boolean; truncate: boolean };
  viaRoot: boolean;
  /** FOR ALL TABLES. */
  all: boolean;
  /** FOR TABLES IN SCHEMA. */
  schemas: readonly string[];
  tables: readonly PublishedTable[];
};

export type Catalog = {
  /** As `server_version_num`. */
  version: number;
  schema: string;
  tables: readonly CatalogTable[];
  publications: readonly CatalogPublication[];
};

const SCHEMAS_SINCE = 150_000;

const identityColumns = (table: string) => `ARRAY(
  SELECT a.attname::text FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey::int2[])
   WHERE x.indrelid = ${table}.oid AND x.indimmediate AND x.indisvalid
     AND CASE ${table}.relreplident WHEN 'd' THEN x.indisprimary WHEN 'i' THEN x.indisreplident ELSE false END)`;

const TABLES_SQL = `
  SELECT c.relname AS name, c.relkind AS kind, c.relpersistence AS persistence, c.relreplident AS identity,
         ${identityColumns("c")} AS "identityColumns",
         ARRAY(SELECT a.attname::text FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
         ARRAY(SELECT i.inhrelid::regclass::text FROM pg_inherits i JOIN pg_class h ON h.oid = i.inhrelid
                WHERE i.inhparent = c.oid AND NOT h.relispartition ORDER BY 1) AS heirs,
         coalesce((SELECT json_agg(json_build_object('name', l.oid::regclass::text, 'kind', l.relkind,
                            'identity', l.relreplident, 'identityColumns', ${identityColumns("l")}))
                     FROM pg_partition_tree(CASE c.relkind WHEN 'p' THEN c.oid END) t JOIN pg_class l ON l.oid = t.relid
                    WHERE t.isleaf AND l.relkind <> 'p'), '[]') AS leaves
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = $1 AND c.relname = ANY ($2) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
   ORDER BY array_position($2, c.relname::text)`;

/** By JSON where some versions lack a column. */
const publicationsSql = (version: number) => `
  SELECT p.pubname AS name, p.puballtables AS all, p.pubviaroot AS "viaRoot",
         json_build_object('insert', p.pubinsert, 'update', p.pubupdate, 'delete', p.pubdelete, 'truncate', p.pubtruncate) AS publishes,
         ${
           version >= SCHEMAS_SINCE
             ? "ARRAY(SELECT n.nspname::text FROM pg_publication_namespace s JOIN pg_namespace n ON n.oid = s.pnnspid WHERE s.pnpubid = p.oid)"
             : "ARRAY[]::text[]"
         } AS schemas,
         coalesce((SELECT json_agg(json_build_object('schema', n.nspname, 'name', c.relname,
                            'filtered', jsonb_typeof(to_jsonb(r) -> 'prqual') = 'string',
                            'keyed', c.relreplident = 'f' OR ${identityColumns("c")} <> '{}',
                            'columns', CASE jsonb_typeof(to_jsonb(r) -> 'prattrs') WHEN 'array' THEN ARRAY(
                               SELECT a.attname::text FROM jsonb_array_elements_text(to_jsonb(r) -> 'prattrs') k
                                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k::int ORDER BY a.attnum) END))
                     FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE r.prpubid = p.oid), '[]') AS tables
    FROM pg_publication p WHERE p.pubname = ANY ($1) ORDER BY p.pubname`;

export async function readCatalog(
  client: pg.Client,
  schema: string,
  publications: readonly string[],
): Promise<Catalog> {
  const version = await serverVersion(client);
  const tables = await client.query<CatalogTable>(TABLES_SQL, [schema, Object.keys(READ_TABLES)]);
  const published = await client.query<CatalogPublication>(publicationsSql(version), [publications]);
  return { version, schema, tables: tables.rows, publications: published.rows };
}

/** As `server_version_num`: 170004 is 17.4. */
export async function serverVersion(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ server_version_num: string }>("SHOW server_version_num");
  return Number(rows[0]?.server_version_num);
}

/** Oids of the objects that decide how commits are decoded. `logs`: the table of log rows, where it is partitioned. */
export type CatalogOids = { publications: string[]; tables: string[]; logs: string | null; schema: string };

/** With the partitions of all tables but `logs`: those change every day or month, and it does not matter. */
export async function catalogOids(
  client: pg.Client,
  schema: string,
  publications: readonly string[],
): Promise<CatalogOids> {
  const { rows } = await client.query<CatalogOids>(
    `WITH RECURSIVE tables (oid, relname, relkind) AS (
       SELECT c.oid, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = ANY ($2)
       UNION ALL
       SELECT c.oid, t.relname, c.relkind FROM tables t JOIN pg_inherits i ON i.inhparent = t.oid JOIN pg_class c ON c.oid = i.inhrelid
        WHERE t.relkind = 'p' AND t.relname <> 'logs')
     SELECT ARRAY(SELECT oid::text FROM tables ORDER BY oid) AS tables,
            (SELECT oid::text FROM tables WHERE relname = 'logs' AND relkind = 'p') AS logs,
            ARRAY(SELECT oid::text FROM pg_publication WHERE pubname = ANY ($3) ORDER BY oid) AS publications,
            coalesce((SELECT oid::text FROM pg_namespace WHERE nspname = $1), '0') AS schema`,
    [schema, Object.keys(READ_TABLES), publications],
  );
  return rows[0] as CatalogOids;
}

/**
 * A hash of everything that decides what of a commit is decoded, and how: the publications and what belongs to them, the tables with the
 * columns that are read, their keys and heirs. It includes the rows' versions (`xmin`), so it also differs after a change was reverted.
 * @param quick only the publications and the tables themselves: not their columns, keys and heirs
 */
export function fingerprintSql(
  { publications, tables, logs, schema }: CatalogOids,
  version: number,
  quick = false,
): string {
  // SQL has no empty list, and no object has the oid 0.
  const any = (oids: readonly string[]) => `IN (${["0", ...oids].join(", ")})`;
  const columns = [...new Set<string>(Object.values(READ_TABLES).flat())].map((name) => pg.escapeLiteral(name));
  const parts = [
    `SELECT 'p', oid, 0::oid, xmin FROM pg_publication WHERE oid ${any(publications)}`,
    `SELECT 'r', oid, prrelid, xmin FROM pg_publication_rel WHERE prpubid ${any(publications)}`,
    `SELECT 'c', oid, 0::oid, xmin FROM pg_class WHERE oid ${any(tables)}`,
  ];
  if (!quick) {
    parts.push(
      `SELECT 'n', oid, 0::oid, xmin FROM pg_namespace WHERE oid = ${schema}`,
      `SELECT 'h', inhrelid, inhparent, xmin FROM pg_inherits WHERE inhparent ${any(tables.filter((oid) => oid !== logs))}`,
      `SELECT 'i', indexrelid, indrelid, xmin FROM pg_index WHERE indrelid ${any(tables)} AND indisunique`,
      `SELECT 'a', attrelid, attnum::int::oid, xmin FROM pg_attribute WHERE attrelid ${any(tables)} AND attname IN (${columns.join(", ")})`,
    );
  }
  if (version >= SCHEMAS_SINCE) {
    parts.push(`SELECT 's', oid, pnnspid, xmin FROM pg_publication_namespace WHERE pnpubid ${any(publications)}`);
  }
  return `SELECT coalesce(md5(string_agg(concat_ws(' ', kind, one, two, xmin), ',' ORDER BY kind, one, two)), '') AS catalogs
    FROM (${parts.join(" UNION ALL ")}) entries (kind, one, two, xmin)`;
}
