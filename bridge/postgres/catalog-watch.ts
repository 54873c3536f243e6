/**
 * Notices that PostgreSQL's catalogs have changed since this term began: a table taken out of a publication, and put back, leaves commits that
 * were never decoded, and nothing in the stream of commits tells. So no position counts as read before the catalogs were looked at behind it.
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
  /** Of what the term began with: equal in another term, nothing has changed in between. */
  readonly fingerprint: string;
  /** Of the part that is looked at behind each commit. */
  readonly #quick: string;
  readonly #sql: pg.Client;
  readonly #schema: string;
  readonly #names: PublicationNames;
  /** Looks take turns: a connection does one thing at a time. */
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
    // Planned once: each look takes a millisecond then.
    const version = await serverVersion(sql);
    const prepared = async (name: string, quick: boolean) => {
      await sql.query(`PREPARE ${name} AS ${fingerprintSql(oids, version, quick)}`);
      return (await sql.query<{ catalogs: string }>(`EXECUTE ${name}`)).rows[0]?.catalogs ?? "";
    };
    const watch = new CatalogWatch(sql, schema, names, await prepared(STATEMENT, false), await prepared(QUICK, true));
    // Where one was put in the place of another just now, the wrong one would be watched.
    if (!isDeepStrictEqual(oids, await catalogOids(sql, schema, publications))) throw await watch.#changed();
    return watch;
  }

  /**
   * How far PostgreSQL's log is on disk: every commit up to there was decoded by the catalogs of this term.
   * One round trip, two statements: the second one sees what was committed before it, so a change behind the position shows.
   * @param compares false in a test
   * @throws postgres.publication_changed
   */
  flushed(compares = true): Promise<Lsn> {
    return this.#inTurn(async () => {
      const [flushed, seen] = (await this.#sql.query(
        `SELECT pg_current_wal_flush_lsn() AS lsn; EXECUTE ${STATEMENT}`,
      )) as unknown as [pg.QueryResult<{ lsn: string }>, pg.QueryResult<{ catalogs: string }>];
      if (compares && seen.rows[0]?.catalogs !== this.fingerprint) throw await this.#changed();
      return parseLsn(flushed.rows[0]?.lsn ?? "");
    });
  }

  /**
   * The publications, and what the tables are, have not changed: for between two beats, a quarter of the work.
   * @param compares false in a test
   * @throws postgres.publication_changed
   */
  unchanged(compares = true): Promise<void> {
    return this.#inTurn(async () => {
      const { rows } = await this.#sql.query<{ catalogs: string }>(`EXECUTE ${QUICK}`);
      if (compares && rows[0]?.catalogs !== this.#quick) throw await this.#changed();
    });
  }

  #inTurn<T>(look: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(look);
    this.#turn = done.catch(() => {}); // The caller gets the error; the next caller looks by itself.
    return done;
  }

  async #changed(): Promise<Error> {
    const { publication, logPublication } = this.#names;
    const catalog = await readCatalog(this.#sql, this.#schema, [publication, logPublication]);
    const harm = harmfulDifferences(this.#names, catalog);
    const [unfit] = unfitTables(catalog);
    if (unfit) return fault("postgres.publication_changed", { difference: unfit.what, sql: unfit.sql ?? "mend it" });
    return fault("postgres.publication_changed", {
      difference:
        harm?.difference ?? "nothing is missing now, but a publication or the definition of a table was touched",
      sql: harm ? `run \`arvados-nats setup-db\`, or ${harm.sql}` : "nothing",
    });
  }
}
