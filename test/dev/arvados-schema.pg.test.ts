import assert from "node:assert/strict";
import {
  KEY_OF,
  OPTIONAL_COLUMNS,
  OPTIONAL_TABLES,
  READ_TABLES,
  TABLES,
  type TableName,
} from "../../bridge/postgres/tables.ts";
import { type ArvadosTable, arvadosTables, databaseTables } from "../support/servers/arvados-schema.ts";
import { type FreshDatabase, freshDatabase } from "../support/servers/postgres.ts";

/** PostgreSQL keeps what Arvados caches in this one, which the facts leave out. */
const NOT_DESCRIBED = ["materialized_permissions"];

describe("the demo's schema", () => {
  let db: FreshDatabase;
  let real: Record<string, ArvadosTable>;
  let demo: Record<string, ArvadosTable>;
  before(async () => {
    db = await freshDatabase();
    real = await arvadosTables();
    demo = await databaseTables({ query: async (text: string) => ({ rows: await db.query(text) }) } as never);
  });
  after(() => db?.drop());

  it("has Arvados' tables and no others", () => {
    assert.deepEqual(Object.keys(demo).sort(), [...Object.keys(real), ...NOT_DESCRIBED].sort());
  });

  it("has every column of each, no invented one, with its type, NULL where Arvados has it", () => {
    for (const [table, { columns }] of Object.entries(real)) assert.deepEqual(demo[table]?.columns, columns, table);
  });

  it("has the same primary keys and the same unique ones, but for names within an owner", () => {
    const unique = ({ unique = [], primaryKey = [] }: ArvadosTable) =>
      unique
        .filter((key) => !key.partial)
        .map((key) => key.columns.join())
        .filter((columns) => columns !== primaryKey.join())
        .sort();
    for (const [table, its] of Object.entries(real)) {
      assert.deepEqual(demo[table]?.primaryKey, its.primaryKey, table);
      assert.deepEqual(unique(demo[table] as ArvadosTable), unique(its), table);
    }
  });
});

describe("what the bridge reads", () => {
  let real: Record<string, ArvadosTable>;
  before(async () => {
    real = await arvadosTables();
  });

  it("is there in Arvados' tables", () => {
    for (const [table, columns] of Object.entries(READ_TABLES)) {
      const lacking = columns.filter((column) => !real[table]?.columns[column]);
      assert.deepEqual(lacking, [], table);
    }
  });

  it("holds the primary key of each table, and knows it", () => {
    for (const [table, key] of Object.entries(KEY_OF)) {
      assert.deepEqual(real[table]?.primaryKey, [key]);
      assert.ok((TABLES[table as TableName] as readonly string[]).includes(key), table);
    }
  });

  it("may lack only what is declared, with a sentence about each loss", () => {
    for (const [table, columns] of Object.entries(OPTIONAL_COLUMNS)) {
      for (const [column, loss] of Object.entries(columns)) {
        assert.ok((TABLES[table as TableName] as readonly string[]).includes(column), `${table}.${column}`);
        assert.notEqual(loss, "");
        assert.notEqual(column, KEY_OF[table as TableName]);
      }
    }
    for (const table of Object.keys(OPTIONAL_TABLES)) assert.ok(Object.hasOwn(TABLES, table));
  });
});
