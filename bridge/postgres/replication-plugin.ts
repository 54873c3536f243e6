/** The library's pgoutput plugin, with our session settings and with options that every PostgreSQL version knows. */
import pg from "pg";
import { PgoutputPlugin } from "pg-logical-replication";
import { SESSION_SQL } from "../../runtime/postgres-session.ts";

export class Pgoutput extends PgoutputPlugin {
  readonly #publications: readonly string[];

  constructor(publications: readonly string[]) {
    super({ protoVersion: 1, publicationNames: [...publications] });
    this.#publications = publications;
  }

  /** Messages are not decoded here: an error would end the process. */
  // biome-ignore lint/suspicious/noExplicitAny: the library's own message type is not used
  override parse(buffer: Buffer): any {
    return buffer;
  }

  override async start(client: pg.Client, slot: string, lsn: string): Promise<unknown> {
    await client.query(SESSION_SQL);
    const names = pg.escapeLiteral(this.#publications.map((name) => pg.escapeIdentifier(name)).join(","));
    const options = `proto_version '1', publication_names ${names}`;
    return client.query(`START_REPLICATION SLOT ${pg.escapeIdentifier(slot)} LOGICAL ${lsn} (${options})`);
  }
}
