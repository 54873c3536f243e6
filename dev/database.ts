/** An Arvados database: the schema that the demo and the tests use, put into an empty one. */
import { readFile } from "node:fs/promises";
import pg from "pg";

/** The DDL of Arvados' tables as far as we read them. */
const SCHEMA = new URL("./arvados-schema.sql", import.meta.url);

export async function createSchema(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    // Without parameters the driver sends all statements at once, which PostgreSQL runs as one transaction.
    await client.query(await readFile(SCHEMA, "utf8"));
  } finally {
    await client.end();
  }
}
