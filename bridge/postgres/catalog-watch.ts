/**
 * Notices that PostgreSQL's catalogs have changed since this term began. While a table is missing from a publication its commits are not
 * decoded, and the replication stream does not show that. So a position counts as read only after the catalogs were checked behind it.
 */
import { isDeepStrictEqual } from "node:util";
import type pg from "pg";
import { fault } from "../../core/errors.ts";
import { type Lsn, parseLsn } from "../../core/lsn.ts";
import { catalogOids, fingerprintSql, readCatalog, serverVersion } from "./catalog.ts";
import { harmfulDifferences } from "./preflight.ts";
import { type PublicationNames, unfitTables } from "./publications.ts";

const STATEMENT = "arvados_nats_catalogs";
const QUICK = "arvados_nats_publications";

export class CatalogWatch {
  /** Of the catalogs as the term began: where it is the same in another term, nothing has changed in between. */
  readonly fingerprint: string;
  /** Of the part that is checked after each commit. */
  readonly #quick: string;
  readonly #sql: pg.Client;
  readonly #schema: string;
  readonly #names: PublicationNames;
  /** Checks take turns: a connection runs one query at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(sql: pg.Client, schema: string, names: PublicationNames, fingerprint: string, quick: string) {
    this.#sql = sql;
    this.#schema = schema;
    this.#names = names;
    this.fingerprint = fingerprint;
    this.#quick = quick;
  }

  /** @param sql a connection that nobody else uses */
  static async begin(sql: pg.Client, schema: string, names: PublicationNames): Promise<CatalogWatch> {
    const publications = [names.publication, names.logPublication];
    const oids = await catalogOids(sql, schema, publications);
    // Planned once, so that each check takes a millisecond.
    const version = await serverVersion(sql);
    const prepared = async (name: string, quick: boolean) => {
      await sql.query(`PREPARE ${name} AS ${fingerprintSql(oids, version, quick)}`);
      return (await sql.query<{ catalogs: string }>(`EXECUTE ${name}`)).rows[0]?.catalogs ?? "";
    };
    const watch = new CatalogWatch(sql, schema, names, await prepared(STATEMENT, false), await prepared(QUICK, true));
    // An object that was replaced meanwhile would not be watched.
    if (!isDeepStrictEqual(oids, await catalogOids(sql, schema, publications))) throw await watch.#changed();
    return watch;
  }

  /**
   * How far PostgreSQL's log is on disk: every commit up to there was decoded by the catalogs of this term. One round trip with two
   * statements: the second one sees every change that was committed up to the position that the first one reads.
   * @throws postgres.publication_changed
   */
  flushed(): Promise<Lsn> {
    return this.#inTurn(async () => {
      const [flushed, seen] = (await this.#sql.query(
        `SELECT pg_current_wal_flush_lsn() AS lsn; EXECUTE ${STATEMENT}`,
      )) as unknown as [pg.QueryResult<{ lsn: string }>, pg.QueryResult<{ catalogs: string }>];
      if (seen.rows[0]?.catalogs !== this.fingerprint) throw await this.#changed();
      return parseLsn(flushed.rows[0]?.lsn ?? "");
    });
  }

  /**
   * The publications and the tables themselves have not changed: a quarter of the work, for checks between two beats.
   * @throws postgres.publication_changed
   */
  unchanged(): Promise<void> {
    return this.#inTurn(async () => {
      const { rows } = await this.#sql.query<{ catalogs: string }>(`EXECUTE ${QUICK}`);
      if (rows[0]?.catalogs !== this.#quick) throw await this.#changed();
    });
  }

  #inTurn<T>(check: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(check);
    this.#turn = done.catch(() => {}); // The caller gets the error; the next caller checks again.
    return done;
  }

  async #changed(): Promise<Error> {
    const { publication, logPublication } = this.#names;
    const catalog = await readCatalog(this.#sql, this.#schema, [publication, logPublication]);
    const harm = harmfulDifferences(this.#names, catalog);
    const [unfit] = unfitTables(catalog);
    if (unfit)
      return fault("postgres.publication_changed", {
        difference: unfit.what,
        sql: unfit.sql ?? "put Arvados' own table in its place",
      });
    return fault("postgres.publication_changed", {
      difference:
        harm?.difference ?? "nothing is missing now, but a publication or the definition of a table was touched",
      sql: harm ? `run \`arvados-nats setup-db\`, or ${harm.sql}` : "nothing",
    });
  }
}
