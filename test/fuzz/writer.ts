/** Writes rows of any content into every table that the bridge reads, in transactions of several statements, and changes the schema in between. */
import type pg from "pg";
import type { ReadTable } from "../../bridge/postgres/found-tables.ts";
import { KEY_OF, READ_TABLES, type TableName } from "../../bridge/postgres/tables.ts";
import { pick, type Random } from "../../dev/testing/random.ts";
import { type Cast, type ColumnType, type Limits, propertiesFor, valueFor } from "./values.ts";

/** What a table asks for besides the columns that the bridge reads. */
export type TableSchema = Record<string, { columns: ColumnType[]; required: ColumnType[] }>;

/** `alterations` of tables, TRUNCATE among them: each may end a term, since rows may have been decoded otherwise meanwhile. */
export type Counts = { transactions: number; statements: number; refused: number; alterations: number };

const TABLES = Object.keys(READ_TABLES) as ReadTable[];

export async function readSchema(client: pg.Client | pg.Pool): Promise<TableSchema> {
  const { rows } = await client.query<{ table: string; name: string; type: string; needed: boolean }>(
    `SELECT table_name AS table, column_name AS name, data_type AS type, is_nullable = 'NO' AND column_default IS NULL AS needed
       FROM information_schema.columns WHERE table_schema = 'public' ORDER BY ordinal_position`,
  );
  const schema: TableSchema = {};
  for (const table of TABLES) {
    const columns = rows.filter((row) => row.table === table);
    const read: readonly string[] = READ_TABLES[table];
    schema[table] = {
      columns: columns.filter(({ name }) => read.includes(name)),
      required: columns.filter(({ name, needed }) => needed && !read.includes(name)),
    };
  }
  return schema;
}

export class FuzzWriter {
  readonly counts: Counts = { transactions: 0, statements: 0, refused: 0, alterations: 0 };
  readonly #client: pg.Client;
  readonly #schema: TableSchema;
  readonly #cast: Cast;
  readonly #limits: Limits;
  readonly #random: Random;

  constructor(client: pg.Client, schema: TableSchema, cast: Cast, limits: Limits, random: Random) {
    this.#client = client;
    this.#schema = schema;
    this.#cast = cast;
    this.#limits = limits;
    this.#random = random;
  }

  /** One transaction; a statement that PostgreSQL refuses is taken back by itself. */
  async transaction(): Promise<void> {
    this.counts.transactions++;
    await this.#client.query("BEGIN");
    for (let left = 1 + Math.floor(this.#random() * 4); left > 0; left--) {
      this.counts.statements++;
      await this.#client.query("SAVEPOINT s");
      try {
        await this.#statement();
      } catch (error) {
        // Only PostgreSQL's own refusals have such a code.
        if (!/^[0-9A-Z]{5}$/.test(String((error as { code?: unknown }).code))) throw error;
        this.counts.refused++;
        await this.#client.query("ROLLBACK TO SAVEPOINT s");
      }
    }
    await this.#client.query(this.#random() < 0.05 ? "ROLLBACK" : "COMMIT");
  }

  async #statement(): Promise<void> {
    const table = pick(TABLES, this.#random);
    const chance = this.#random();
    if (table === "logs") return this.#log();
    if (chance < 0.35) return this.#insert(table);
    if (chance < 0.8) return this.#update(table);
    if (chance < 0.9) return this.#remove(table);
    if (chance < 0.92) {
      this.counts.alterations++;
      return this.#run(`TRUNCATE ${table}`);
    }
    if (chance < 0.96) return this.#changeKey(table);
    return this.#changeSchema(table);
  }

  async #insert(table: TableName): Promise<void> {
    const { columns = [], required = [] } = this.#schema[table] ?? {};
    const given = columns.filter(({ name }) => name !== "id");
    const all = [...given, ...required];
    const values = all.map((column) =>
      required.includes(column) ? plain(column) : valueFor(column, this.#cast, this.#limits, this.#random),
    );
    await this.#run(
      `INSERT INTO ${table} (${all.map(({ name }) => name).join()}) VALUES (${places(all.length)})`,
      values,
    );
  }

  async #update(table: TableName): Promise<void> {
    const { columns = [] } = this.#schema[table] ?? {};
    const column = pick(
      columns.filter(({ name }) => name !== "id"),
      this.#random,
    );
    const value = valueFor(column, this.#cast, this.#limits, this.#random);
    await this.#run(`UPDATE ${table} SET ${column.name} = $1 WHERE ${this.#oneOf(table)}`, [value]);
  }

  async #remove(table: TableName): Promise<void> {
    await this.#run(`DELETE FROM ${table} WHERE ${this.#oneOf(table)}`);
  }

  async #changeKey(table: TableName): Promise<void> {
    const key = KEY_OF[table];
    const change = key === "id" ? "id = id + 1000000" : "uuid = uuid || 'x'";
    await this.#run(`UPDATE ${table} SET ${change} WHERE ${this.#oneOf(table)}`);
  }

  /** What a migration may do to a published table without touching what is published. */
  async #changeSchema(table: TableName): Promise<void> {
    this.counts.alterations++;
    const name = `fuzz_${Math.floor(this.#random() * 5)}`;
    await this.#run(
      pick(
        [
          `ALTER TABLE ${table} ADD COLUMN ${name} text DEFAULT '${name}'`,
          `ALTER TABLE ${table} DROP COLUMN ${name}`,
          `CREATE INDEX ON ${table} (${KEY_OF[table]})`,
          `ALTER TABLE ${table} ALTER COLUMN ${KEY_OF[table]} SET STATISTICS 10`,
        ],
        this.#random,
      ),
    );
  }

  async #log(): Promise<void> {
    const { columns = [], required = [] } = this.#schema.logs ?? {};
    const given = columns.filter(({ name }) => name !== "id");
    const all = [...given, ...required];
    const { users, groups } = this.#cast;
    const properties = propertiesFor(pick(groups, this.#random), pick(users, this.#random), this.#limits, this.#random);
    const values = all.map((column) => {
      if (column.name === "properties") return properties;
      return required.includes(column) ? plain(column) : valueFor(column, this.#cast, this.#limits, this.#random);
    });
    await this.#run(`INSERT INTO logs (${all.map(({ name }) => name).join()}) VALUES (${places(all.length)})`, values);
  }

  /** Some row of the table, or now and then all. */
  #oneOf(table: TableName): string {
    if (this.#random() < 0.03) return "true";
    const key = KEY_OF[table];
    return `${key} = (SELECT ${key} FROM ${table} ORDER BY md5(${key}::text || '${this.#random()}') LIMIT 1)`;
  }

  async #run(sql: string, values: unknown[] = []): Promise<void> {
    await this.#client.query(sql, values);
  }
}

function places(count: number): string {
  return Array.from({ length: count }, (_, at) => `$${at + 1}`).join();
}

function plain({ type }: ColumnType): unknown {
  if (type.startsWith("timestamp")) return "2026-01-01";
  if (type === "boolean") return false;
  return type === "text" || type.startsWith("character") ? "x" : 0;
}
