/**
 * Sessions live on with grants of before where their users have lost nothing: none of them may ever hear what its user may not read,
 * however often the rows change after it was granted.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { PermissionGraph } from "../../../core/graph/permission-graph.ts";
import type { Effect } from "../../../core/graph/types.ts";
import type { PermissionChange } from "../../../core/rows.ts";
import { natsMatches } from "../../vectors/nats-match.ts";
import { NOW } from "../../vectors/world.ts";
import { collection, G, graphOf, link, members, project, role, U, unlink, user } from "./cast.ts";
import { Oracle, tablesOf } from "./oracle.ts";
import { audienceMin, CLUSTER, objectsOf, tameMoves, tameRows, USERS } from "./universe.ts";

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const runs = { numRuns: Number(process.env.RUNS ?? 60), seed };

type Session = { user: string; hash: string; patterns: readonly string[] };

const sessionOf = (graph: PermissionGraph, user: string): Session => ({ user, ...graph.grants(user) });
const hears = ({ patterns }: Session, subjects: readonly string[]) =>
  subjects.some((subject) => patterns.some((pattern) => natsMatches(pattern, subject)));
const anyOf = ({ shrank, stale }: Effect) => new Set([...shrank, ...stale]);

/** Of sessions made before a delta, those that go on after it: `cut` users' only with the grants of now. */
const spared = (graph: PermissionGraph, cut: ReadonlySet<string>, sessions: readonly Session[]) =>
  sessions.filter(({ user, hash }) => !cut.has(user) || graph.grants(user).hash === hash);

function graphFrom(changes: readonly PermissionChange[], min: number): PermissionGraph {
  const graph = new PermissionGraph({ clusterId: CLUSTER, roleGroupsVisibleToAll: true, audienceMin: min });
  graph.load(changes);
  return graph;
}

function assertSound(sessions: readonly Session[], graph: PermissionGraph, all: readonly PermissionChange[]): void {
  const oracle = new Oracle(tablesOf(all), true);
  for (const object of objectsOf(all)) {
    const { owner } = object;
    const route = graph.route(object, NOW);
    const deletion = owner === null ? [] : graph.routeDelete(object);
    for (const session of sessions) {
      const { user, patterns } = session;
      const about = `${user} ${JSON.stringify(object)} | ${patterns}`;
      assert.ok(!hears(session, route) || oracle.check(user, object, NOW), `${about} | ${route}`);
      assert.ok(!hears(session, deletion) || oracle.seesDeletion(user, owner ?? ""), `${about} | ${deletion}`);
    }
  }
}

/** Follows deltas with a session of every user made before each of them. */
function follow(
  changes: readonly PermissionChange[],
  following: readonly PermissionChange[][],
  min: number,
  cutBy: (effect: Effect) => ReadonlySet<string>,
): void {
  const graph = graphFrom(changes, min);
  const all = [...changes];
  let sessions: Session[] = [];
  for (const delta of following) {
    sessions.push(...USERS.map((user) => sessionOf(graph, user)));
    const cut = cutBy(graph.apply(delta));
    all.push(...delta);
    sessions = spared(graph, cut, sessions);
    assertSound(sessions, graph, all);
  }
}

describe(`a session granted before the last changes (seed ${seed})`, () => {
  it("is cut before it would hear what its user may not read", () => {
    const property = fc.property(tameRows, tameMoves, audienceMin, (...world) => follow(...world, anyOf));
    fc.assert(property, runs);
  });

  it("would hear that if only those who lose a right were cut", () => {
    const property = fc.property(tameRows, tameMoves, audienceMin, (...world) =>
      follow(...world, ({ shrank }) => shrank),
    );
    assert.throws(() => fc.assert(property, { numRuns: 1_000, seed, endOnFailure: true }), /Property failed/);
  });

  const world = [user("ann"), user("bob"), project("plan", U("ann")), project("bobs", U("bob")), role("crew")];
  const c = collection("c", G("plan"));
  /** Bob's session goes on after all these deltas but the last, and is cut by it or not. */
  const isCut = (graph: PermissionGraph, deltas: PermissionChange[][]) => {
    let sessions = [sessionOf(graph, U("bob"))];
    for (const [place, delta] of deltas.entries()) {
      assert.equal(sessions.length, 1, `delta ${place}`);
      sessions = spared(graph, anyOf(graph.apply(delta)), sessions);
    }
    assert.ok(!graph.check(U("bob"), c, NOW) || sessions.length === 0);
    return sessions.length === 0;
  };

  it("is cut where its share goes and a share with everybody stays, which would go without cutting anybody", () => {
    const graph = graphOf(10, ...world, link("in", U("bob"), G("everybody")), link("share", U("bob"), G("plan")));
    graph.apply([link("all", G("everybody"), G("plan"))]);
    assert.ok(isCut(graph, [[unlink("share")]]));
    assert.deepEqual([...graph.apply([unlink("all")]).shrank], []);
  });

  it("is cut where its project lies at home and its share goes: no grant would change where it moved back", () => {
    const graph = graphOf(10, ...world, link("share", U("bob"), G("plan")));
    assert.ok(isCut(graph, [[project("plan", G("bobs"))], [unlink("share")]]));
    assert.deepEqual([...graph.apply([project("plan", U("ann"))]).shrank], []);
  });

  it("goes on where it has the grants of now", () => {
    const graph = graphOf(10, ...world, link("share", U("bob"), G("plan")), link("sub", U("bob"), G("sub")));
    graph.apply([project("sub", G("plan"))]);
    const [before] = [sessionOf(graph, U("bob"))];
    const effect = graph.apply([unlink("sub")]);
    assert.ok(effect.stale.has(U("bob")));
    assert.deepEqual(spared(graph, anyOf(effect), [before]), [before]);
  });

  describe("by a process that did not take a role for an audience, as it always was one to the process that cuts", () => {
    const ten = () => graphOf(10, ...world, link("share", G("crew"), G("plan")), ...members("crew", 10));
    const large = () => {
      const graph = graphOf(10, ...world, link("share", G("crew"), G("plan")), ...members("crew", 11));
      graph.apply([unlink("inuk")]);
      return graph;
    };
    const session = sessionOf(ten(), U("ua"));

    it("is cut where the role loses a share", () => {
      const graph = large();
      assert.ok(hears(session, graph.route(c, NOW)));
      assert.deepEqual(spared(graph, anyOf(graph.apply([unlink("share")])), [session]), []);
    });

    it("is cut where the role becomes an audience everywhere, and loses the share later", () => {
      const graph = large();
      const effect = graph.apply([link("inbob", U("bob"), G("crew"))]);
      assert.deepEqual([...effect.moved], [], "nothing changes here");
      assert.deepEqual(spared(graph, anyOf(effect), [session]), []);
      assert.equal(anyOf(graph.apply([unlink("share")])).size, 0);
    });

    it("and one with the grants of now goes on", () => {
      const graph = large();
      const other = sessionOf(graph, U("ua"));
      assert.deepEqual(spared(graph, anyOf(graph.apply([unlink("share")])), [other]), [other]);
    });
  });
});
