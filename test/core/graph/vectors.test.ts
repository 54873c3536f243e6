import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import type { PermissionGraph } from "../../../core/graph/permission-graph.ts";
import type { ObjectFacts, PermissionEngine } from "../../../core/graph-types.ts";
import { BOUNDS, boundsText, engineFor, judgeAnswers, judgeSequence, judgeWorld } from "../../vectors/judge.ts";
import { natsMatches } from "../../vectors/nats-match.ts";
import { graphRows, readVectors, type World } from "../../vectors/world.ts";

const FOLDER = "test/vectors/permissions";

const named = readdirSync(`${FOLDER}/named`).flatMap((file) => readVectors(`${FOLDER}/named/${file}`).worlds);
const random = readVectors(`${FOLDER}/random.json.gz`).worlds;
const { sequences } = readVectors(`${FOLDER}/sequences.json.gz`);

for (const bounds of BOUNDS) {
  describe(`the answers of the real Arvados SQL, with ${boundsText(bounds)}`, function () {
    this.timeout(60_000);

    it("are the graph's in all 62 named worlds", () => {
      assert.equal(named.length, 62);
      for (const world of named) assert.deepEqual(judgeWorld(world, bounds).mismatches, []);
    });

    it("are the graph's in all 200 random worlds", () => {
      assert.equal(random.length, 200);
      for (const world of random) assert.deepEqual(judgeWorld(world, bounds).mismatches, []);
    });

    it("are the graph's after each step of all 60 sequences, and equal those of a graph built from scratch", () => {
      assert.equal(sequences.length, 60);
      for (const sequence of sequences) assert.deepEqual(judgeSequence(sequence, bounds).mismatches, []);
    });
  });
}

/** An engine that differs from the real one in one answer. */
function broken(world: World, answer: (graph: PermissionGraph) => Partial<PermissionEngine>): PermissionEngine {
  const graph = engineFor(world, { audienceMin: 3 });
  graph.apply([...graphRows(world).values()]);
  const whole: PermissionEngine = {
    apply: (changes) => graph.apply(changes),
    check: (user, object, now) => graph.check(user, object, now),
    grants: (user) => graph.grants(user),
    route: (object, now) => graph.route(object, now),
    routeDelete: (object) => graph.routeDelete(object),
    explain: (user, object, now) => graph.explain(user, object, now),
  };
  return { ...whole, ...answer(graph) };
}

/** What the judge says of all named worlds under a broken engine or matcher. */
function verdicts(answer: (graph: PermissionGraph) => Partial<PermissionEngine>, matches = natsMatches) {
  return named.flatMap(
    (world) => judgeAnswers(world.name, broken(world, answer), world, world.expect, matches).mismatches,
  );
}

describe("the judge of the vectors", () => {
  it("finds nothing wrong with a correct engine", () => {
    assert.deepEqual(
      verdicts(() => ({})),
      [],
    );
  });

  it("notices one grant dropped", () => {
    const found = verdicts((graph) => ({
      grants: (user) => {
        const { patterns, hash } = graph.grants(user);
        return { patterns: patterns.length > 1 ? patterns.slice(0, -1) : patterns, hash };
      },
    }));
    assert.ok(found.some(({ what }) => what === "route matches grants"));
    assert.ok(found.some(({ what }) => what === "deletable_seen"));
  });

  it("notices a grant too many", () => {
    const found = verdicts((graph) => ({
      grants: (user) => ({
        ...graph.grants(user),
        patterns: [...graph.grants(user).patterns, "@admin.>", "zzzzz-tpzed-a00000000000000.>"],
      }),
    }));
    assert.ok(found.some(({ what, expected }) => what === "route matches grants" && !expected));
  });

  it("notices a route that lacks its last subject", () => {
    const found = verdicts((graph) => ({ route: (object, now) => graph.route(object, now).slice(0, -1) }));
    assert.ok(found.some(({ what, expected }) => what === "route matches grants" && expected));
  });

  it("notices a check that forgets trash", () => {
    const found = verdicts((graph) => ({
      check: (user: string, object: ObjectFacts) => graph.check(user, { ...object, trashAt: null }, 0),
    }));
    assert.ok(found.some(({ what, expected }) => what === "readable" && !expected));
  });

  it("notices a matcher that lets an asterisk span tokens", () => {
    const loose = (pattern: string, subject: string) =>
      natsMatches(pattern, subject) || natsMatches(pattern.replace(/\*\./g, "*.*."), subject);
    assert.ok(verdicts(() => ({}), loose).some(({ expected }) => !expected));
  });

  it("notices an empty list of grants, and one that ends in an asterisk", () => {
    for (const patterns of [[], ["zzzzz.*"]]) {
      const found = verdicts(() => ({ grants: () => ({ patterns, hash: "" }) }));
      assert.ok(found.some(({ what }) => what === "grants"));
    }
  });
});
