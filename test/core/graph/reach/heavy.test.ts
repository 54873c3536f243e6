/** Nobody is shut out by what others give: who would have too many patterns for one session hears copies of its own instead. */
import assert from "node:assert/strict";
import { PermissionGraph } from "../../../../core/graph/permission-graph.ts";
import type { Effect, ObjectFacts } from "../../../../core/graph-types.ts";
import type { PermissionChange } from "../../../../core/rows.ts";
import { natsMatches } from "../../../vectors/nats-match.ts";
import { C, collection, G, K, link, lives, NOW, project, Q, request, role, U, unlink, user } from "../cast.ts";

const name = (prefix: string, i: number) => `${prefix}${i.toString(36)}x`;
const times = <T>(count: number, make: (i: number) => T[]): T[] =>
  Array.from({ length: count }, (_, i) => make(i)).flat();

function graphOf(heavyMin: number, changes: PermissionChange[], crowdMin = 100): PermissionGraph {
  const graph = new PermissionGraph({
    clusterId: "zzzzz",
    roleGroupsVisibleToAll: true,
    audienceMin: 20,
    heavyMin,
    crowdMin,
  });
  graph.load([user("root"), user("ann"), user("bob"), ...changes]);
  return graph;
}

const hears = (graph: PermissionGraph, who: string, subjects: string[]) => {
  const { patterns } = graph.grants(U(who));
  return subjects.some((subject) => patterns.some((pattern) => natsMatches(pattern, subject)));
};
const NOBODY = { shrank: [], grew: [], moved: [], stale: [] };
const named = ({ shrank, grew, moved, outdated: stale }: Effect) => ({
  shrank: [...shrank],
  grew: [...grew],
  moved: [...moved],
  stale: [...stale],
});

/** The i-th collection of ann's, shared with somebody by a link of its own. */
const single = (i: number, tail = U("bob")): PermissionChange[] => [
  lives(C(name("c", i)), U("ann")),
  link(name("l", i), tail, C(name("c", i))),
];
const single0 = collection(name("c", 0), U("ann"));

describe("a user who is given more than a session can carry", () => {
  const world = times(200, (i) => single(i));

  it("has few patterns, hears each object, and no longer hears one whose share ends", () => {
    const graph = graphOf(100, world);
    assert.ok(graph.grants(U("bob")).patterns.length < 10);
    for (let i = 0; i < 200; i++) {
      const object = collection(name("c", i), U("ann"));
      assert.ok(graph.check(U("bob"), object, NOW));
      assert.ok(hears(graph, "bob", graph.route(object, NOW)));
    }
    graph.apply([unlink(name("l", 0))]);
    assert.ok(!graph.check(U("bob"), single0, NOW));
    assert.ok(!hears(graph, "bob", graph.route(single0, NOW)));
    assert.deepEqual(graph.route(single0, NOW), [`${U("ann")}.${single0.uuid}.collections`]);
  });

  it("hears copies that no other user hears", () => {
    const graph = graphOf(100, world);
    assert.deepEqual(graph.route(single0, NOW), [
      `${U("ann")}.${single0.uuid}.collections`,
      `@user.${U("bob")}.${U("ann")}.${single0.uuid}.collections`,
    ]);
  });

  it("is not cut or moved, and nothing waits, while a share begins and ends", () => {
    const graph = graphOf(100, world);
    const { hash } = graph.grants(U("bob"));
    for (let round = 0; round < 3; round++) {
      for (const change of [unlink(name("l", 7)), single(7)[1] as PermissionChange]) {
        const effect = graph.apply([change]);
        assert.deepEqual(named(effect), NOBODY);
        assert.ok(effect.rerouted);
        assert.equal(graph.grants(U("bob")).hash, hash);
      }
    }
  });

  it("is moved once when the threshold is passed, and not again while shares begin and end around it", () => {
    const graph = graphOf(
      100,
      times(60, (i) => single(i)),
    );
    const before = graph.grants(U("bob")).patterns.length;
    assert.ok(before > 60);
    let moves = 0;
    let cuts = 0;
    let at = 60;
    for (; graph.grants(U("bob")).patterns.length > 10; at++) {
      const effect = graph.apply(single(at));
      moves += effect.moved.size;
      cuts += effect.shrank.size;
    }
    assert.equal(moves, 1);
    assert.equal(cuts, 0);
    const { hash } = graph.grants(U("bob"));
    for (let round = 0; round < 5; round++) {
      for (const change of [unlink(name("l", at - 1)), single(at - 1)[1] as PermissionChange]) {
        const { shrank, moved, grew } = graph.apply([change]);
        assert.deepEqual([...shrank, ...moved, ...grew], []);
        assert.equal(graph.grants(U("bob")).hash, hash);
      }
    }
  });

  it("hears exactly what it may read, whether or not a process with another past takes it for heavy", () => {
    const past = graphOf(
      100,
      times(110, (i) => single(i)),
    );
    assert.ok(past.grants(U("bob")).patterns.length < 10);
    for (let i = 109; i >= 90; i--) past.apply([unlink(name("l", i))]);
    const fresh = graphOf(
      100,
      times(90, (i) => single(i)),
    );
    const sessions = [past.grants(U("bob")), fresh.grants(U("bob"))];
    assert.notEqual(sessions[0]?.hash, sessions[1]?.hash);
    assert.deepEqual(past.route(single0, NOW), fresh.route(single0, NOW));
    for (const { patterns } of sessions) {
      assert.ok(past.route(single0, NOW).some((one) => patterns.some((pattern) => natsMatches(pattern, one))));
    }
    // The session that names the collection is cut by the process to which nothing is named: it is stale.
    const effect = past.apply([unlink(name("l", 0))]);
    assert.deepEqual(named(effect), { ...NOBODY, stale: [U("bob")] });
    assert.deepEqual([...fresh.apply([unlink(name("l", 0))]).shrank], [U("bob")]);
  });
});

describe("too much for one session, however it is given", () => {
  const all: Record<string, { given: PermissionChange[]; object: ObjectFacts; back: PermissionChange }> = {
    "single collections": { given: times(300, (i) => single(i)), object: single0, back: unlink(name("l", 0)) },
    "single projects": {
      given: times(300, (i) => [project(name("p", i), U("ann")), link(name("l", i), U("bob"), G(name("p", i)))]),
      object: collection("inside", G(name("p", 0))),
      back: unlink(name("l", 0)),
    },
    "projects far below": {
      given: [
        ...times(90, (i) => [project(name("d", i), i === 0 ? U("ann") : G(name("d", i - 1)))]),
        ...times(20, (i) => [project(name("p", i), G(name("d", 89))), link(name("l", i), U("bob"), G(name("p", i)))]),
      ],
      object: collection("inside", G(name("p", 0))),
      back: unlink(name("l", 0)),
    },
    "container requests": {
      given: times(300, (i) => [
        request(name("q", i), U("ann"), K(name("k", i))),
        link(name("l", i), U("bob"), Q(name("q", i))),
      ]),
      object: { uuid: K(name("k", 0)), resource: "containers", owner: U("root") },
      back: unlink(name("l", 0)),
    },
    "a small role's singles": {
      given: [role("crew"), link("in", U("bob"), G("crew")), ...times(300, (i) => single(i, G("crew")))],
      object: single0,
      back: unlink("in"),
    },
    "small roles, each with a link to a user": {
      given: times(300, (i) => [
        role(name("r", i)),
        user(name("u", i)),
        link(name("in", i), U("bob"), G(name("r", i))),
        link(name("l", i), G(name("r", i)), U(name("u", i))),
      ]),
      object: { uuid: U(name("u", 0)), resource: "users", owner: U("root") },
      back: unlink(name("l", 0)),
    },
    "large roles": {
      given: [
        ...times(21, (i) => [user(name("u", i))]),
        ...times(60, (i) => [
          role(name("r", i)),
          project(name("p", i), U("ann")),
          link(name("in", i), U("bob"), G(name("r", i))),
          link(name("l", i), G(name("r", i)), G(name("p", i))),
          ...times(21, (j) => [link(`${name("m", i)}${name("n", j)}`, U(name("u", j)), G(name("r", i)))]),
        ]),
      ],
      object: collection("inside", G(name("p", 0))),
      back: unlink(name("l", 0)),
    },
    "users to manage": {
      given: times(300, (i) => [user(name("u", i)), link(name("l", i), U("bob"), U(name("u", i)), "can_manage")]),
      object: collection("home", U(name("u", 0))),
      back: unlink(name("l", 0)),
    },
    "users who manage users": {
      given: [
        link("first", U("bob"), U("ann"), "can_manage"),
        ...times(300, (i) => [user(name("u", i)), link(name("l", i), U("ann"), U(name("u", i)), "can_manage")]),
      ],
      object: collection("home", U(name("u", 0))),
      back: unlink(name("l", 0)),
    },
    "things to manage": {
      given: times(300, (i) => [
        project(name("p", i), U("ann")),
        link(name("l", i), U("bob"), G(name("p", i)), "can_manage"),
        link(name("o", i), U("root"), G(name("p", i))),
      ]),
      object: {
        uuid: link(name("o", 0), "", "").uuid,
        resource: "links",
        owner: U("root"),
        link: { linkClass: "permission", tail: U("root"), head: G(name("p", 0)), headOwner: U("ann") },
      },
      back: unlink(name("l", 0)),
    },
  };
  for (const [what, { given, object, back }] of Object.entries(all)) {
    it(`is heard without a pattern for each, and revoked by a change of routes: ${what}`, () => {
      const graph = graphOf(100, given);
      const patterns = graphOf(Number.POSITIVE_INFINITY, given).grants(U("bob")).patterns;
      assert.ok(patterns.length > 100 || patterns.join("").length > 100 * 192);
      assert.ok(graph.grants(U("bob")).patterns.length < 15);
      assert.ok(graph.check(U("bob"), object, NOW));
      assert.ok(hears(graph, "bob", graph.route(object, NOW)));
      const effect = graph.apply([back]);
      assert.ok(!graph.check(U("bob"), object, NOW));
      assert.ok(!hears(graph, "bob", graph.route(object, NOW)));
      assert.ok(effect.rerouted);
      if (what.startsWith("a small role")) return;
      assert.deepEqual(named(effect), NOBODY);
    });
  }

  it("also covers deletions and objects that move away", () => {
    const { given } = all["single projects"] as { given: PermissionChange[] };
    const graph = graphOf(100, given);
    const inside = collection("inside", G(name("p", 0)));
    assert.ok(hears(graph, "bob", graph.routeDelete(inside)));
    assert.ok(hears(graph, "bob", graph.routeLeft(collection("inside", U("ann")), G(name("p", 0)), NOW)));
    assert.ok(!hears(graph, "bob", graph.routeDelete(collection("home", U("ann")))));
  });
});

describe("the copies of one event", () => {
  const USERS = 300;
  const world = [
    project("plan", U("ann")),
    ...times(USERS, (i) => [
      user(name("u", i)),
      link(name("s", i), U(name("u", i)), G("plan")),
      ...times(12, (j) => single(i * 12 + j, U(name("u", i)))),
    ]),
  ];
  const inside = collection("inside", G("plan"));

  it("are bounded, however many heavy users an object is shared with: they keep its pattern", () => {
    const graph = graphOf(10, world, 50);
    assert.ok(graph.route(inside, NOW).length < 60);
    for (let i = 0; i < USERS; i++) {
      assert.ok(hears(graph, name("u", i), graph.route(inside, NOW)));
      assert.ok(graph.grants(U(name("u", i))).patterns.length < 10);
    }
  });

  describe("of something that is crowded, or is not, to processes of different pasts", () => {
    const links = (count: number) => [
      project("plan", U("ann")),
      link("bobs", U("bob"), G("plan")),
      ...times(30, (i) => single(i)),
      ...times(count - 1, (i) => [user(name("u", i)), link(name("s", i), U(name("u", i)), G("plan"))]),
    ];
    const both = () => {
      const past = graphOf(10, links(11), 10);
      past.apply([unlink(name("s", 9))]);
      return { past, fresh: graphOf(10, links(10), 10) };
    };

    it("exist while some process may not see it as crowded, and each session hears", () => {
      const { past, fresh } = both();
      const routes = [past, fresh].map((graph) => graph.route(inside, NOW));
      assert.notEqual(past.grants(U("bob")).hash, fresh.grants(U("bob")).hash);
      assert.deepEqual(routes[0], routes[1]);
      for (const graph of [past, fresh]) assert.ok(hears(graph, "bob", routes[0] as string[]));
      assert.ok(
        !graphOf(10, links(11), 10)
          .route(inside, NOW)
          .some((tail) => tail.includes(U("bob"))),
      );
    });

    it("leave no session that names it, when its share ends or every process sees it as not crowded", () => {
      for (const change of [unlink("bobs"), unlink(name("s", 0)), unlink(name("s", 1))]) {
        const { past, fresh } = both();
        const session = past.grants(U("bob"));
        const cut = (effect: Effect) => effect.shrank.has(U("bob")) || effect.outdated.has(U("bob"));
        const effects = [past, fresh].map((graph) => graph.apply([change]));
        // Down to nine it may be crowded still; at eight it is so nowhere.
        const ends = change.uuid === unlink("bobs").uuid;
        assert.deepEqual(effects.map(cut), [ends, ends]);
        if (ends) continue;
        const last = [past, fresh].map((graph) => graph.apply([unlink(name("s", 5))]));
        assert.deepEqual(last.map(cut), [true, true]);
        assert.notEqual(past.grants(U("bob")).hash, session.hash);
      }
    });
  });

  it("are one for all who manage the same user, and one for that user's own objects", () => {
    const managers = [
      ...times(200, (i) => single(i, U("ann"))),
      user("eve"),
      ...times(200, (i) => [lives(C(name("e", i)), U("eve")), link(name("e", i), U("ann"), C(name("e", i)))]),
      ...times(USERS, (i) => [user(name("u", i)), link(name("m", i), U(name("u", i)), U("ann"), "can_manage")]),
    ];
    const graph = graphOf(100, managers, 50);
    const eves = collection(name("e", 0), U("eve"));
    assert.ok(graph.route(eves, NOW).length < 5);
    for (let i = 0; i < USERS; i++) assert.ok(hears(graph, name("u", i), graph.route(eves, NOW)));
    const { hash } = graph.grants(U(name("u", 0)));
    assert.deepEqual(named(graph.apply([unlink(name("e", 0))])), NOBODY);
    assert.ok(!hears(graph, name("u", 0), graph.route(eves, NOW)));
    assert.equal(graph.grants(U(name("u", 0))).hash, hash);
  });
});
