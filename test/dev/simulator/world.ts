/** A database in which a simulated Arvados has created alice and bob, and what its commits say about themselves. */
import assert from "node:assert/strict";
import type pg from "pg";
import type { Simulator } from "../../../dev/simulator/index.ts";
import { type FreshDatabase, freshDatabase } from "../../support/servers/postgres.ts";

export type LogRow = {
  id: string;
  uuid: string;
  owner_uuid: string;
  object_uuid: string;
  object_owner_uuid: string | null;
  event_type: string;
  event_at: string;
  properties: string;
};

export type Attributes = Record<string, unknown>;

export type Properties = {
  old_etag: string | null;
  old_attributes: Attributes | null;
  new_etag: string | null;
  new_attributes: Attributes | null;
};

type World = { db: FreshDatabase; arvados: Simulator; alice: string; bob: string };

const TABLE_BY_INFIX: Record<string, string> = {
  tpzed: "users",
  j7d0g: "groups",
  o0j2j: "links",
  "4zz18": "collections",
  xvhdp: "container_requests",
  dz642: "containers",
  gj3su: "api_client_authorizations",
};

/** The world is there once `start` has resolved. */
export function simulatedArvados() {
  let db: FreshDatabase;

  async function start(): Promise<World> {
    db = await freshDatabase();
    const arvados = db.simulator;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    const { uuid: bob } = await arvados.createUser({ username: "bob" });
    return { db, arvados, alice, bob };
  }

  /** Log rows by id, oldest first, with text as PostgreSQL has it. */
  function logs({ logIds }: { logIds: number[] }): Promise<LogRow[]> {
    return db.query<LogRow>("SELECT *, event_at::text FROM logs WHERE id = ANY($1) ORDER BY id", [logIds]);
  }

  async function onlyLog(commit: { logIds: number[] }): Promise<LogRow & { parsed: Properties }> {
    const rows = await logs(commit);
    assert.equal(rows.length, 1);
    return { ...rows[0]!, parsed: JSON.parse(rows[0]!.properties) as Properties };
  }

  /** `create users`, `update links`...: what a commit's log rows say, in their order. */
  async function described(commit: { logIds: number[] }): Promise<string[]> {
    return (await logs(commit)).map((row) => `${row.event_type} ${TABLE_BY_INFIX[row.object_uuid.slice(6, 11)]}`);
  }

  async function one<R extends pg.QueryResultRow>(sql: string, ...values: unknown[]): Promise<R> {
    const [row] = await db.query<R>(sql, values);
    assert(row !== undefined);
    return row;
  }

  return { start, drop: () => db.drop(), logs, onlyLog, described, one };
}
