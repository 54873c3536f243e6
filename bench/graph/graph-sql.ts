/**
 * The graph's questions put to PostgreSQL, by plain recursive SQL over the same rows: what it costs to ask the database each
 * time instead of keeping the graph in memory.
 */
import pg from "pg";
import { levelOf } from "../../core/graph/store/permission-links.ts";
import type { PermissionChange } from "../../core/rows.ts";
import { startPostgres } from "../../dev/servers/postgres.ts";
import type { BenchCluster } from "../support/cluster.ts";
import { type Measurement, row, Samples } from "../support/measure.ts";

const SCHEMA = `
  create table edges (tail text not null, head text not null, val int not null, link text);
  create table container_requests (uuid text not null, owner_uuid text not null, container_uuid text);
`;
const INDEXES = `
  create index on edges (tail);
  create index on edges (head);
  create unique index on container_requests (uuid);
  create index on container_requests (container_uuid);
  analyze;
`;

/** All that the users in $1 reach: docs/arvados-permissions.md 3.1. */
const REACH = (name: string, start: string) => `
  ${name}(uuid, val, trav, start) as (
    ${start}
    union
    select e.head, least(e.val, r.val), e.head like '_____-j7d0g-_______________' or e.val >= 3, false
    from ${name} r join edges e on e.tail = r.uuid
    where r.start or r.uuid like '_____-j7d0g-_______________'
  )`;

/** Does $1 reach an object $2 owned by $3, itself or through users it manages? */
const CHECK = `with recursive
  ${REACH("mine", "select $1::text, 3, true, true")},
  ${REACH("ours", "select distinct uuid, 3, true, true from mine where uuid like '_____-tpzed-_______________' and trav and val >= 1")}
  select exists (select 1 from ours where val >= 1 and (uuid = $2 or (uuid = $3 and trav))) as readable`;

/** Which users reach $1: whom a link from it concerns. */
const AFFECTED = `with recursive back(uuid) as (
    select $1::text
    union
    select e.tail from back b join edges e on e.head = b.uuid
    where b.uuid = $1 or b.uuid like '_____-j7d0g-_______________'
  )
  select uuid from back where uuid like '_____-tpzed-_______________'`;

/** Heads of links in $1's reach that lie below no other: what grants name. */
const GRANTS = `with recursive ${REACH("mine", "select $1::text, 3, true, true")}
  select distinct m.uuid from mine m
  where m.val >= 1 and not exists (
    select 1 from edges o join mine above on above.uuid = o.tail and above.val >= 1
    where o.head = m.uuid and o.link is null)`;

export type SqlQuestions = { checks: [user: string, object: string, owner: string][]; roles: string[]; sharee: string };
/** What the graph took for the same, in milliseconds. */
export type GraphTimes = { check: number; affected: number; grants: number };

export async function compareWithSql(
  cluster: BenchCluster,
  ask: SqlQuestions,
  graph: GraphTimes,
): Promise<Measurement[]> {
  await using postgres = await startPostgres({ inMemory: true, walLevel: "replica" });
  await postgres.createDatabase("graph");
  const client = new pg.Client({ connectionString: postgres.url("graph") });
  await client.connect();
  try {
    await client.query(SCHEMA);
    for (const batch of cluster.batches()) await insert(client, batch);
    await client.query(INDEXES);
    const checks = new Samples();
    for (const values of ask.checks) await checks.timeAsync(() => client.query({ name: "check", text: CHECK, values }));
    const affected = new Samples();
    for (const uuid of ask.roles) {
      await affected.timeAsync(() => client.query({ name: "affected", text: AFFECTED, values: [uuid] }));
    }
    const grants = new Samples();
    for (let i = 0; i < 5; i++) {
      await grants.timeAsync(() => client.query({ name: "grants", text: GRANTS, values: [ask.sharee] }));
    }
    return [
      ...ratio("check", checks, graph.check),
      ...ratio("affected users of a role of 500", affected, graph.affected),
      ...ratio("grants of 2,000 subtrees", grants, graph.grants),
    ];
  } finally {
    await client.end();
  }
}

function ratio(name: string, sql: Samples, graph: number): Measurement[] {
  const p50 = sql.percentile(0.5);
  return [
    row(`PostgreSQL: ${name}, p50`, p50, "ms"),
    row(`PostgreSQL: ${name}, times the graph's p50`, p50 / graph, "x"),
  ];
}

async function insert(client: pg.Client, batch: readonly PermissionChange[]): Promise<void> {
  const edges: [string[], string[], number[], (string | null)[]] = [[], [], [], []];
  const requests: [string[], string[], (string | null)[]] = [[], [], []];
  const edge = (tail: string, head: string, val: number, link: string | null): void => {
    for (const [i, value] of [tail, head, val, link].entries()) (edges[i] as unknown[]).push(value);
  };
  for (const { kind, row } of batch) {
    if (row === null) continue;
    if (kind === "user" || kind === "group") edge(row.owner_uuid, row.uuid, 3, null);
    else if (kind === "link") edge(row.tail_uuid, row.head_uuid, levelOf(row.name), row.uuid);
    else if (kind === "cr") {
      requests[0].push(row.uuid);
      requests[1].push(row.owner_uuid);
      requests[2].push(row.container_uuid);
    }
  }
  if (edges[0].length > 0) {
    await client.query("insert into edges select * from unnest($1::text[], $2::text[], $3::int[], $4::text[])", edges);
  }
  if (requests[0].length > 0) {
    const sql = "insert into container_requests select * from unnest($1::text[], $2::text[], $3::text[])";
    await client.query(sql, requests);
  }
}
