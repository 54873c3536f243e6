/**
 * `npm run bench:graph [-- --quick] [-- --json FILE]`: the permission graph at a million nodes, against its targets, and the
 * same questions to PostgreSQL. `--quick` is a tenth of the cluster. Targets hold for two cores with nothing else to do.
 */
import { PermissionGraph } from "../../core/graph/permission-graph.ts";
import type { ObjectFacts } from "../../core/graph-types.ts";
import type { PermissionChange } from "../../core/rows.ts";
import { mulberry32 } from "../../dev/testing/random.ts";
import { BenchCluster, FULL, linkRow, ROLE_OF, uuid } from "../support/cluster.ts";
import { benchArgs, type Measurement, row, Samples, table, writeResults } from "../support/measure.ts";
import { compareWithSql } from "./graph-sql.ts";

const { json, quick } = benchArgs(process.argv.slice(2));
const CHECKS = quick ? 50_000 : 200_000;
/** Links put in and taken out again per question. */
const LINKS = quick ? 200 : 500;
const NOW = Date.UTC(2026, 0, 1);

const cluster = new BenchCluster(quick ? { ...FULL, projects: 20_000, links: 14_500, requests: 44_000 } : FULL);
const rows: Measurement[] = [];

const graph = build();
const checkP50 = checks(graph);
const affectedP50 = links(graph);
const grantsP50 = grants(graph);
rows.push(row("resident memory at most", process.resourceUsage().maxRSS / 1024, "MiB", 1_536));
rows.push(
  ...(await compareWithSql(
    cluster,
    {
      checks: questions(quick ? 20 : 50, 7).map(({ user, object }) => [user, object.uuid, object.owner ?? ""]),
      roles: Array.from({ length: 20 }, () => cluster.bigRole),
      sharee: cluster.sharee,
    },
    { check: checkP50, affected: affectedP50, grants: grantsP50 },
  )),
);
console.log(table(rows));
if (json !== null) await writeResults(json, "graph", rows);

function build(): PermissionGraph {
  globalThis.gc?.();
  const before = used();
  const loaded = newGraph();
  let nodes = 0;
  const loading = new Samples();
  loading.time(() => {
    for (const batch of cluster.batches()) {
      loaded.load(batch);
      for (const { kind } of batch) nodes += kind === "cr" ? 2 : kind === "link" ? 0 : 1;
    }
  });
  globalThis.gc?.();
  const { users, projects, requests } = cluster.size;
  // Owners of users, groups, requests and shared objects; containers of requests; links.
  const edges =
    users + cluster.roles.length + projects + 2 * requests + cluster.sharedCollections.length + cluster.links.length;
  rows.push(
    row("nodes", nodes, "uuids"),
    row("edges, of which the graph leaves out that root owns each container", edges + requests, "edges"),
  );
  rows.push(row("build from scratch, as a replica loads", loading.percentile(1) / 1000, "s", 10));
  rows.push(row("memory of the graph", (used() - before) / 2 ** 20, "MiB"));
  // The same in deltas with their effects, as a replica that follows; and the graph that the questions below are put to.
  const followed = newGraph();
  const following = new Samples();
  following.time(() => {
    for (const batch of cluster.batches()) followed.apply(batch);
  });
  rows.push(row("the same in deltas of 20,000 rows, effects and all", following.percentile(1) / 1000, "s"));
  for (const user of cluster.users) followed.grants(user);
  return followed;
}

function newGraph(): PermissionGraph {
  return new PermissionGraph({ clusterId: cluster.clusterId, roleGroupsVisibleToAll: true, audienceMin: 1_000 });
}

function used(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** The median of three rounds, for one may be disturbed by other load on the host. */
function checks(graph: PermissionGraph): number {
  const asked = questions(CHECKS, 1);
  let readable = 0;
  const round = (): Samples => {
    const samples = new Samples(asked.length);
    readable = 0;
    for (const { user, object } of asked) {
      // Whoever asks has just read these names, so they are not fetched from memory for the first time here.
      if (touch(user) + touch(object.uuid) + touch(object.owner ?? "") === 0) throw new Error("no names");
      if (samples.time(() => graph.check(user, object, NOW))) readable++;
    }
    return samples;
  };
  round();
  globalThis.gc?.();
  const rounds = [round(), round(), round()];
  const median = (share: number) => rounds.map((one) => one.percentile(share)).sort((a, b) => a - b)[1] as number;
  rows.push(row("check, p50", median(0.5) * 1000, "us"));
  rows.push(row("check, p99", median(0.99) * 1000, "us", 2));
  rows.push(row("of these readable", (100 * readable) / asked.length, "%"));
  return median(0.5);
}

/** Reads a text to its end. */
function touch(text: string): number {
  return text.charCodeAt(text.length - 1);
}

/** Requests and users at random; every third time the user at the top of the request's owners, who may read it. */
function questions(count: number, seed: number): { user: string; object: ObjectFacts }[] {
  const random = mulberry32(seed);
  return Array.from({ length: count }, (_, i) => {
    const request = Math.floor(random() * cluster.size.requests);
    const owner = cluster.ownerOfRequest(request);
    const user =
      i % 3 === 0 ? cluster.topOwner(owner) : (cluster.users[Math.floor(random() * cluster.users.length)] as string);
    return { user, object: { uuid: cluster.requestUuid(request), resource: "container_requests", owner } };
  });
}

/** Links added and removed one at a time; how long until the users concerned are known. */
function links(graph: PermissionGraph): number {
  const random = mulberry32(2);
  const some = (from: readonly string[]) => from[Math.floor(random() * from.length)] as string;
  const leaf = () =>
    cluster.projects[cluster.projects.length - 1 - Math.floor(random() * cluster.projects.length * 0.1)] as string;
  const ask = (name: string, target: number | null, tail: () => string, head: () => string): number => {
    const samples = new Samples();
    let users = 0;
    for (let i = -20; i < LINKS; i++) {
      const link = { uuid: uuid("o0j2j", 800_000_000 + i), tail: tail(), head: head(), name: "can_read" };
      const there: PermissionChange = { kind: "link", uuid: link.uuid, row: linkRow(0, link) };
      for (const change of [there, { ...there, row: null } as PermissionChange]) {
        // The first ones only warm the code up.
        const effect = i < 0 ? graph.apply([change]) : samples.time(() => graph.apply([change]));
        users += effect.shrank.size + effect.grew.size + effect.moved.size;
      }
    }
    rows.push(row(`${name}, p50`, samples.percentile(0.5), "ms"));
    rows.push(row(`${name}, p99`, samples.percentile(0.99), "ms", target));
    rows.push(row(`${name}, users`, users / (2 * (LINKS + 20)), "users"));
    return samples.percentile(0.5);
  };
  const tails = [...cluster.users, ...cluster.roles.slice(1)];
  ask("link to a leaf project", 2, () => some(tails), leaf);
  const p50 = ask(`link from a role of ${ROLE_OF}`, 20, () => cluster.bigRole, leaf);
  ask(
    "user joins or leaves a role",
    null,
    () => some(cluster.users),
    () => some(cluster.roles.slice(1)),
  );
  return p50;
}

/** A user with 2,000 subtrees asks again after each change that concerns it. */
function grants(graph: PermissionGraph): number {
  const samples = new Samples();
  let patterns = 0;
  for (let i = -5; i < 100; i++) {
    const link = {
      uuid: uuid("o0j2j", 700_000_000),
      tail: cluster.sharee,
      head: cluster.roles[5] as string,
      name: "can_read",
    };
    const row = i % 2 === 0 ? linkRow(0, link) : null;
    graph.apply([{ kind: "link", uuid: link.uuid, row }]);
    const ask = () => graph.grants(cluster.sharee);
    // The first ones only warm the code up.
    patterns = (i < 0 ? ask() : samples.time(ask)).patterns.length;
  }
  rows.push(row("grants of a user with 2,000 shared subtrees, p50", samples.percentile(0.5), "ms"));
  rows.push(row("grants of a user with 2,000 shared subtrees, p99", samples.percentile(0.99), "ms", 20));
  rows.push(row("its patterns", patterns, "patterns", 2_200));
  return samples.percentile(0.5);
}
