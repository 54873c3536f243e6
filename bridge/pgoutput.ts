/** The library's pgoutput, started in a session that is set as ours are, with options that every PostgreSQL knows, for the tables of one schema. */
import pg from "pg";
import { PgoutputPlugin } from "pg-logical-replication";
import { SESSION_SQL } from "../runtime/postgres-session.ts";

type Message = ReturnType<PgoutputPlugin["parse"]>;

export class Pgoutput extends PgoutputPlugin {
  readonly #publications: readonly string[];
  readonly #schema: string;

  constructor(publications: readonly string[], schema: string) {
    super({ protoVersion: 1, publicationNames: [...publications] });
    this.#publications = publications;
    this.#schema = schema;
  }

  override async start(client: pg.Client, slot: string, lsn: string): Promise<unknown> {
    await client.query(SESSION_SQL);
    const names = pg.escapeLiteral(this.#publications.join(","));
    const options = `proto_version '1', publication_names ${names}`;
    return client.query(`START_REPLICATION SLOT ${pg.escapeIdentifier(slot)} LOGICAL ${lsn} (${options})`);
  }

  /**
   * A table of another schema may bear the name of one of Arvados'. Its changes are nobody's: in their place stands what it is, a `relation`,
   * which says nothing new.
   */
  override parse(buffer: Buffer): Message {
    const message = super.parse(buffer);
    if ("relation" in message) return message.relation.schema === this.#schema ? message : message.relation;
    if (message.tag !== "truncate") return message;
    const relations = message.relations.filter(({ schema }) => schema === this.#schema);
    return relations.length > 0 ? { ...message, relations } : (message.relations[0] ?? message);
  }
}
