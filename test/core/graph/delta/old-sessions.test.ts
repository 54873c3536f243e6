/**
 * Sessions live on with grants of before where their users have lost nothing: none of them may ever hear what its user may not read,
 * however often the rows change after it was granted.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { PermissionGraph } from "../../../../core/graph/permission-graph.ts";
import type { Effect } from "../../../../core/graph-types.ts";
import type { PermissionChange } from "../../../../core/rows.ts";
import { natsMatches } from "../../../vectors/nats-match.ts";
import { NOW } from "../../../vectors/world.ts";
import { collection, G, graphOf, link, members, project, role, U, unlink, user } from "../cast.ts";
import { Oracle, oracleTables } from "../oracle.ts";
import { anyBounds, type Bounds, CLUSTER, changedObjects, tameMoves, tameRows, USERS } from "../universe.ts";

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const runs = { numRuns: Number(process.env.RUNS ?? 40), seed };

type Session = { user: string; hash: string; patterns: readonly string[] };

const sessionOf = (graph: PermissionGraph, user: string): Session => ({ user, ...graph.grants(user) });
const hears = ({ patterns }: Session, subjects: readonly string[]) =>
  subjects.some((subject) => patterns.some((pattern) => natsMatches(pattern, subject)));
const anyOf = ({ shrank, outdated: stale }: Effect) => new Set([...shrank, ...stale]);

/** Of sessions made before a delta, those that go on after it: `cut` users' only with the grants of now. */
const spared = (graph: PermissionGraph, cut: ReadonlySet<string>, sessions: readonly Session[]) =>
  sessions.filter(({ user, hash }) => !cut.has(user) || graph.grants(user).hash === hash);

function graphFrom(changes: readonly PermissionChange[], bounds: Bounds): PermissionGraph {
  const graph = new PermissionGraph({ clusterId: CLUSTER, roleGroupsVisibleToAll: true, ...bounds });
  graph.load(changes);
  return graph;
}

function assertSound(sessions: readonly Session[], graph: PermissionGraph, all: readonly PermissionChange[]): void {
  const oracle = new Oracle(oracleTables(all), true);
  for (const object of changedObjects(all)) {
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

/** Do sessions of one process hear in another's routes what their users may read? */
function assertHears(granting: PermissionGraph, publishing: PermissionGraph, all: readonly PermissionChange[]): void {
  for (const object of changedObjects(all)) {
    const route = publishing.route(object, NOW);
    for (const user of USERS) {
      const session = sessionOf(granting, user);
      const about = `${user} ${JSON.stringify(object)} | ${session.patterns} | ${route}`;
      assert.equal(hears(session, route), publishing.check(user, object, NOW), about);
    }
  }
}

describe(`a session granted before the last changes (seed ${seed})`, function () {
  this.timeout(1_000 * runs.numRuns);

  it("is cut before it would hear what its user may not read", () => {
    const property = fc.property(tameRows, tameMoves, anyBounds, (changes, following, bounds) => {
      const graph = graphFrom(changes, bounds);
      const all = [...changes];
      let sessions: Session[] = [];
      for (const delta of following) {
        sessions.push(...USERS.map((user) => sessionOf(graph, user)));
        const effect = graph.apply(delta);
        all.push(...delta);
        sessions = spared(graph, anyOf(effect), sessions);
        assertSound(sessions, graph, all);
      }
    });
    fc.assert(property, runs);
  });

  it("is cut whichever processes granted, cut and published, whatever each has seen before", () => {
    const property = fc.property(tameRows, tameMoves, anyBounds, (changes, following, bounds) => {
      const old = graphFrom(changes, bounds);
      const all = [...changes];
      const sessions = new Map<PermissionGraph | null, Session[]>([
        [old, []],
        [null, []],
      ]);
      for (const delta of following) {
        // One that has just started beside one that has seen it all.
        const fresh = graphFrom(all, bounds);
        const granted = [old, fresh].flatMap((graph) => USERS.map((user) => sessionOf(graph, user)));
        for (const [granting, publishing] of [
          [old, fresh],
          [fresh, old],
        ] as const) {
          assertHears(granting, publishing, all);
        }
        const effects = [old, fresh].map((graph) => graph.apply(delta));
        all.push(...delta);
        for (const [i, [cutter, kept]] of [...sessions].entries()) {
          const going = spared(cutter ?? fresh, anyOf(effects[i] as Effect), [...kept, ...granted]);
          sessions.set(cutter, going);
          for (const publishing of [old, fresh]) assertSound(going, publishing, all);
        }
      }
    });
    fc.assert(property, { ...runs, numRuns: Math.ceil(runs.numRuns / 4) });
  });

  const world = [user("ann"), user("bob"), project("plan", U("ann")), project("bobs", U("bob")), role("crew")];
  const c = collection("c", G("plan"));
  const deltas = {
    "its share goes, and one with everybody stays until that goes": [
      [link("in", U("bob"), G("everybody")), link("all", G("everybody"), G("plan"))],
      [unlink("share")],
      [unlink("all")],
    ],
    "its project comes to lie at home, its share goes, and it moves back": [
      [project("plan", G("bobs"))],
      [unlink("share")],
      [project("plan", U("ann"))],
    ],
    "its role grows large, and loses the share": [
      [unlink("share"), link("in", U("bob"), G("crew")), link("crews", G("crew"), G("plan"))],
      members("crew", 10),
      [unlink("crews")],
    ],
  };
  for (const [when, following] of Object.entries(deltas)) {
    /** Is bob's session there after all, with him not allowed to read what it hears? */
    const leaks = (cutBy: (effect: Effect) => ReadonlySet<string>): boolean => {
      const graph = graphOf(10, ...world, link("share", U("bob"), G("plan")));
      let sessions = [sessionOf(graph, U("bob"))];
      for (const delta of following) sessions = spared(graph, cutBy(graph.apply(delta)), sessions);
      assert.ok(!graph.check(U("bob"), c, NOW));
      return sessions.some((session) => hears(session, graph.route(c, NOW)));
    };

    it(`is cut where ${when}`, () => assert.ok(!leaks(anyOf)));

    it(`would keep hearing if only users who lose a right were cut, where ${when}`, () =>
      assert.ok(leaks(({ shrank }) => shrank)));
  }

  it("stays if it has the current grants", () => {
    const graph = graphOf(10, ...world, link("share", U("bob"), G("plan")), link("sub", U("bob"), G("sub")));
    graph.apply([project("sub", G("plan"))]);
    const [before] = [sessionOf(graph, U("bob"))];
    const effect = graph.apply([unlink("sub")]);
    assert.ok(effect.outdated.has(U("bob")));
    assert.deepEqual(spared(graph, anyOf(effect), [before]), [before]);
  });

  describe("by a process in which a role was no audience, while it was one in the process that cuts", () => {
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

    it("stays if it has the current grants", () => {
      const graph = large();
      const other = sessionOf(graph, U("ua"));
      assert.deepEqual(spared(graph, anyOf(graph.apply([unlink("share")])), [other]), [other]);
    });
  });
});
