import assert from "node:assert/strict";
import fc from "fast-check";
import { PermissionGraph } from "../../../core/graph/permission-graph.ts";
import type { ObjectFacts, PermissionEngine } from "../../../core/graph-types.ts";
import type { PermissionChange } from "../../../core/rows.ts";
import { natsMatches } from "../../vectors/nats-match.ts";
import { NOW } from "../../vectors/world.ts";
import { Oracle, oracleTables } from "./oracle.ts";
import {
  type Bounds,
  bounds,
  CLUSTER,
  changedObjects,
  DELETION_OWNERS,
  deltas,
  oddDeltas,
  oddRows,
  rows,
  standing,
  tameDeltas,
  tameRows,
  USERS,
} from "./universe.ts";

/** fast-check prints seed and path of what fails; `SEED=... npx mocha ...` repeats it. */
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const runs = { numRuns: Number(process.env.RUNS ?? 60), seed };

function graphOf(changes: readonly PermissionChange[], bounds: Bounds): PermissionGraph {
  const graph = new PermissionGraph({ clusterId: CLUSTER, roleGroupsVisibleToAll: true, ...bounds });
  graph.apply(changes);
  return graph;
}

function hears(patterns: readonly string[], subjects: readonly string[]): boolean {
  return subjects.some((subject) => patterns.some((pattern) => natsMatches(pattern, subject)));
}

function readersOf(graph: PermissionEngine, object: ObjectFacts): string[] {
  return USERS.filter((user) => graph.check(user, object, NOW));
}

/** All that a graph answers, to be compared with another's. */
function answers(graph: PermissionEngine, objects: readonly ObjectFacts[]): unknown {
  return {
    grants: USERS.map((user) => graph.grants(user)),
    routes: objects.map((object) => [graph.route(object, NOW).sort(), graph.routeDelete(object).sort()]),
  };
}

const CLUSTERS = [
  ["a wild cluster", rows, deltas],
  ["a tame cluster where links come and go", tameRows, tameDeltas],
  ["a cluster full of links of unknown names", oddRows, oddDeltas],
] as const;

/** What must hold while deltas arrive. */
function followed(which: string, rows: typeof tameRows, deltas: typeof tameDeltas): void {
  it(`in ${which}, is after a delta what it would be if built from scratch`, () => {
    fc.assert(
      fc.property(rows, deltas, bounds, (changes, later, bounds) => {
        const graph = graphOf(changes, bounds);
        const all = [...changes];
        for (const delta of later) {
          // Asked in between, so that something stale could be remembered.
          for (const user of USERS) graph.grants(user);
          graph.apply(delta);
          all.push(...delta);
          const objects = changedObjects(all);
          assert.deepEqual(answers(graph, objects), answers(graphOf([...standing(all).values()], bounds), objects));
        }
      }),
      runs,
    );
  });

  it(`in ${which}, names as shrunk, grown or moved exactly the users whose grants changed, each once`, () => {
    fc.assert(
      fc.property(rows, deltas, bounds, (changes, later, bounds) => {
        const graph = graphOf(changes, bounds);
        for (const delta of later) {
          const before = USERS.map((user) => graph.grants(user).hash);
          const effect = graph.apply(delta);
          const changed = USERS.filter((user, i) => graph.grants(user).hash !== before[i]);
          assert.deepEqual([...effect.shrank, ...effect.grew, ...effect.moved].sort(), changed.sort());
        }
      }),
      runs,
    );
  });

  it(`in ${which}, finds the same users whether or not anybody has asked for their rights before`, () => {
    fc.assert(
      fc.property(rows, deltas, bounds, (changes, later, bounds) => {
        const [asked, unasked] = [graphOf(changes, bounds), graphOf(changes, bounds)];
        const all = [...changes];
        for (const delta of later) {
          for (const user of USERS) asked.grants(user);
          // Like a process that has just read the rows.
          const fresh = graphOf([], bounds);
          fresh.load(standing(all).values());
          const expected = asked.apply(delta);
          assert.deepEqual(unasked.apply(delta), expected);
          assert.deepEqual(fresh.apply(delta), expected);
          all.push(...delta);
        }
      }),
      runs,
    );
  });

  it(`in ${which}, says rerouted where somebody's reading changed and their grants did not`, () => {
    fc.assert(
      fc.property(rows, deltas, bounds, (changes, later, bounds) => {
        const graph = graphOf(changes, bounds);
        const all = [...changes];
        for (const delta of later) {
          const could = new Map(
            changedObjects(all).map((object) => [JSON.stringify(object), readersOf(graph, object)]),
          );
          const left = standing(all);
          const { shrank, grew, moved, rerouted } = graph.apply(delta);
          all.push(...delta);
          if (rerouted) continue;
          for (const object of changedObjects(all)) {
            const before = could.get(JSON.stringify(object));
            // A container that no request showed, or something in a project that was not there, was nothing to be routed.
            const shown = [...left.values()].some(
              (one) => one.kind === "cr" && one.row?.container_uuid === object.uuid,
            );
            const owners = [object.owner, object.link?.headOwner ?? object.owner];
            const housed = owners.every((one) => left.has(`group ${one}`) || left.has(`user ${one}`));
            if (object.resource === "containers" ? !shown : !housed) continue;
            if (before === undefined) continue;
            const after = readersOf(graph, object);
            const turned = USERS.filter((user) => before.includes(user) !== after.includes(user));
            for (const user of turned) assert.ok(shrank.has(user) || grew.has(user) || moved.has(user), user);
          }
        }
      }),
      runs,
    );
  });

  it(`in ${which}, never leaves a session uncut that with its old grants would hear what its user may not read`, () => {
    fc.assert(
      fc.property(rows, deltas, bounds, (changes, later, bounds) => {
        const graph = graphOf(changes, bounds);
        const all = [...changes];
        for (const delta of later) {
          const before = new Map(USERS.map((user) => [user, graph.grants(user).patterns]));
          const effect = graph.apply(delta);
          all.push(...delta);
          for (const object of changedObjects(all)) {
            const route = graph.route(object, NOW);
            for (const user of USERS) {
              if (effect.shrank.has(user) || graph.check(user, object, NOW)) continue;
              const patterns = before.get(user) as readonly string[];
              assert.ok(!hears(patterns, route), `${user} ${JSON.stringify(object)} ${route} | ${patterns}`);
            }
          }
        }
      }),
      runs,
    );
  });
}

describe(`the permission graph, whatever the rows (seed ${seed})`, function () {
  this.timeout(500 * runs.numRuns);

  it("answers check as the rules do", () => {
    fc.assert(
      fc.property(fc.oneof(rows, oddRows), bounds, (changes, bounds) => {
        const graph = graphOf(changes, bounds);
        const oracle = new Oracle(oracleTables(changes), true);
        for (const object of changedObjects(changes)) {
          const readers = USERS.filter((user) => oracle.check(user, object, NOW));
          assert.deepEqual(readersOf(graph, object), readers, JSON.stringify(object));
        }
      }),
      runs,
    );
  });

  it("publishes an event exactly where those who may read it listen", () => {
    fc.assert(
      fc.property(rows, bounds, (changes, bounds) => {
        const graph = graphOf(changes, bounds);
        for (const object of changedObjects(changes)) {
          const route = graph.route(object, NOW);
          assert.equal(new Set(route).size, route.length);
          for (const user of USERS) {
            const { patterns } = graph.grants(user);
            assert.equal(
              hears(patterns, route),
              graph.check(user, object, NOW),
              `${user} ${JSON.stringify(object)} ${route} | ${patterns}`,
            );
          }
        }
      }),
      runs,
    );
  });

  it("publishes a deletion exactly where those who may see the owner's deletions listen", () => {
    fc.assert(
      fc.property(rows, bounds, (changes, bounds) => {
        const graph = graphOf(changes, bounds);
        const oracle = new Oracle(oracleTables(changes), true);
        const madeUp = DELETION_OWNERS.map((owner) => ({
          uuid: "zzzzz-4zz18-madeupforatest0",
          resource: "collections" as const,
          owner,
        }));
        for (const object of [...changedObjects(changes), ...madeUp]) {
          if (!object.owner) continue;
          const route = graph.routeDelete(object);
          for (const user of USERS) {
            const sees = oracle.seesDeletion(user, object.owner);
            const { patterns } = graph.grants(user);
            assert.equal(hears(patterns, route), sees, `${user} ${JSON.stringify(object)} ${route} | ${patterns}`);
          }
        }
      }),
      runs,
    );
  });

  it("grants no pattern twice, none that another covers, none that ends in an asterisk, and at least one", () => {
    fc.assert(
      fc.property(rows, bounds, (changes, bounds) => {
        const graph = graphOf(changes, bounds);
        for (const user of [...USERS, "nobody.*.>"]) {
          const { patterns } = graph.grants(user);
          assert.ok(patterns.length > 0);
          assert.deepEqual([...new Set(patterns)].sort(), patterns);
          for (const pattern of patterns) {
            assert.match(pattern, /^[^ ]+$/);
            assert.doesNotMatch(pattern, /\*$/);
            for (const other of patterns) {
              // A subject like the pattern with its wildcards filled in shows whether another covers it.
              const subject = pattern.replaceAll("*", "x1").replaceAll(">", "x1.x2.x3.x4.x5.x6.x7");
              if (other !== pattern) assert.ok(!natsMatches(other, subject), `${other} covers ${pattern}`);
            }
          }
        }
      }),
      runs,
    );
  });

  for (const [which, rows, deltas] of CLUSTERS) followed(which, rows, deltas);

  it("does not depend on the order of the rows or on how they are split into deltas", () => {
    fc.assert(
      fc.property(
        rows.chain((changes) => {
          const last = [...standing(changes).values()];
          return fc.tuple(fc.constant(changes), fc.shuffledSubarray(last, { minLength: last.length }));
        }),
        fc.integer({ min: 1, max: 7 }),
        bounds,
        ([changes, shuffled], length, bounds) => {
          const objects = changedObjects(changes);
          const inDeltas = graphOf([], bounds);
          for (let i = 0; i < shuffled.length; i += length) inDeltas.apply(shuffled.slice(i, i + length));
          const expected = answers(graphOf(changes, bounds), objects);
          assert.deepEqual(answers(inDeltas, objects), expected);
          const loaded = graphOf([], bounds);
          loaded.load(shuffled);
          assert.deepEqual(answers(loaded, objects), expected);
        },
      ),
      runs,
    );
  });

  it("is the same after a delta that is applied twice", () => {
    fc.assert(
      fc.property(rows, deltas, bounds, (changes, later, bounds) => {
        const graph = graphOf(changes, bounds);
        for (const delta of later) {
          graph.apply(delta);
          const again = graph.apply(delta);
          assert.deepEqual([again.shrank.size, again.grew.size, again.moved.size], [0, 0, 0]);
        }
      }),
      runs,
    );
  });

  it("is as before when a delta is undone", () => {
    fc.assert(
      fc.property(rows, deltas, bounds, (changes, [delta = []], bounds) => {
        const objects = changedObjects(changes);
        const graph = graphOf(changes, bounds);
        const before = answers(graph, objects);
        const left = standing(changes);
        graph.apply(delta);
        graph.apply(
          delta.map((one) => left.get(`${one.kind} ${one.uuid}`) ?? ({ ...one, row: null } as PermissionChange)),
        );
        assert.deepEqual(answers(graph, objects), before);
      }),
      runs,
    );
  });
});
