import assert from "node:assert/strict";
import fc from "fast-check";
import type { Effect } from "../../../../core/graph-types.ts";
import { collection, G, graphOf, link, lives, members, NOW, project, role, U, unlink, user } from "../cast.ts";
import { GROUPS, tameRows, USERS } from "../universe.ts";

const NOTHING = { shrank: [], grew: [], moved: [] };
const users = ({ shrank, grew, moved }: Effect) => ({
  shrank: [...shrank].sort(),
  grew: [...grew].sort(),
  moved: [...moved].sort(),
});

describe("a share with a large role", () => {
  const world = [role("crew"), ...members("crew", 4), user("ann"), project("plan", U("ann"))];

  it("is published once more under the role, and is in nobody's grants", () => {
    const graph = graphOf(3, ...world, link("share", G("crew"), G("plan")));
    const tail = `${U("ann")}.${G("plan")}.${collection("c", "").uuid}.collections`;
    assert.deepEqual(graph.route(collection("c", G("plan")), NOW), [tail, `@role.${G("crew")}.${tail}`]);
    const { patterns } = graph.grants(U("ua"));
    assert.ok(patterns.includes(`@role.${G("crew")}.>`));
    assert.ok(!patterns.some((pattern) => pattern.includes(G("plan"))));
  });

  it("is in each member's grants if the role is not large", () => {
    const graph = graphOf(4, ...world, link("share", G("crew"), G("plan")));
    assert.equal(graph.route(collection("c", G("plan")), NOW).length, 1);
    assert.ok(graph.grants(U("ua")).patterns.includes(`${U("ann")}.${G("plan")}.>`));
  });

  it("comes and goes without cutting anybody: only the route changes", () => {
    const graph = graphOf(3, ...world);
    const given = graph.apply([link("share", G("crew"), G("plan"))]);
    assert.deepEqual(users(given), NOTHING);
    assert.ok(given.rerouted);
    assert.ok(graph.check(U("ua"), collection("c", G("plan")), NOW));
    const taken = graph.apply([unlink("share")]);
    assert.deepEqual(users(taken), NOTHING);
    assert.ok(taken.rerouted);
    assert.ok(!graph.check(U("ua"), collection("c", G("plan")), NOW));
    assert.equal(graph.route(collection("c", G("plan")), NOW).length, 1);
  });

  it("is published under the role of all users, whatever the threshold", () => {
    const graph = graphOf(Number.POSITIVE_INFINITY, user("ann"), user("bob"), project("plan", U("ann")));
    graph.apply([link("in", U("bob"), G("everybody"), "can_write")]);
    const shared = graph.apply([link("share", G("everybody"), G("plan"))]);
    assert.deepEqual(users(shared), NOTHING);
    assert.ok(graph.check(U("bob"), collection("c", G("plan")), NOW));
  });

  it("changes only routes for a single object, another role and a whole user too", () => {
    const c = collection("c", U("ann"));
    const graph = graphOf(3, ...world, role("inner"), project("deep", U("ann")), lives(c.uuid, U("ann")));
    graph.apply([link("deeper", G("inner"), G("deep"))]);
    for (const [head, level] of [
      [c.uuid, "can_read"],
      [G("inner"), "can_read"],
      [U("ann"), "can_manage"],
    ] as const) {
      // The inner role gains its members through the crew and is granted by membership from then on: to its own members.
      const given = graph.apply([link("share", G("crew"), head, level)]);
      assert.deepEqual(users(given), NOTHING, head);
      assert.ok(given.rerouted, head);
      const taken = graph.apply([unlink("share")]);
      assert.deepEqual(users(taken), NOTHING, head);
      assert.ok(taken.rerouted, head);
    }
  });

  it("may be a loss in another process while the role is near the threshold, so its members are named", () => {
    const eleven = [role("crew"), ...members("crew", 11), user("ann"), project("plan", U("ann"))];
    const share = link("share", G("crew"), G("plan"));
    const near = graphOf(10, ...eleven);
    near.apply([unlink("inuk")]);
    assert.equal(near.apply([share]).outdated.size, 0, "nothing goes");
    const taken = near.apply([unlink("share")]);
    assert.deepEqual(users(taken), NOTHING);
    taken.outdated.delete(U("root"));
    assert.equal(taken.outdated.size, 10, "ten members: a process that starts now takes the role for small");
    assert.deepEqual(
      users(graphOf(10, ...eleven, unlink("inuk"), share).apply([unlink("share")])).shrank.length,
      10,
      "and so it does",
    );
    const far = graphOf(10, ...eleven, share);
    assert.equal(far.apply([unlink("share")]).outdated.size, 0, "eleven: it is large for everybody");
    const everybody = graphOf(10, user("ann"), project("plan", U("ann")), link("share", G("everybody"), G("plan")));
    assert.equal(
      everybody.apply([unlink("share")]).outdated.size,
      0,
      "all users are an audience whatever their number",
    );
  });

  it("is lost by all members when the role ends, even if their rights were never asked for", () => {
    for (const end of [project("crew", U("root")), { kind: "group", uuid: G("crew"), row: null } as const]) {
      const graph = graphOf(3);
      graph.load([...world, link("share", G("crew"), G("plan"))]);
      assert.deepEqual(users(graph.apply([end])).shrank, ["ua", "ub", "uc", "ud"].map(U));
    }
  });

  it("cuts who leaves the role, and only them", () => {
    const graph = graphOf(2, ...world, link("share", G("crew"), G("plan")));
    assert.deepEqual(users(graph.apply([unlink("inua")])), { ...NOTHING, shrank: [U("ua")] });
  });

  it("shrinks nobody's grants, whatever else is shared with whom", () => {
    const everybody = G("everybody");
    fc.assert(
      fc.property(
        tameRows,
        fc.constantFrom(...GROUPS.slice(2), ...USERS.slice(1)),
        fc.constantFrom("can_read", "can_manage"),
        fc.constantFrom(0, 3, Number.POSITIVE_INFINITY),
        (rows, head, level, min) => {
          const graph = graphOf(min, ...rows);
          const share = link("share", everybody, head, level);
          for (const effect of [graph.apply([share]), graph.apply([{ ...share, row: null } as typeof share])]) {
            assert.deepEqual([...effect.shrank, ...effect.grew], []);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe("a role that crosses the threshold", () => {
  const twelve = (count: number) => [
    role("crew"),
    user("ann"),
    project("plan", U("ann")),
    link("share", G("crew"), G("plan")),
    ...members("crew", count),
  ];

  it("moves its members' rights and makes their old grants outdated: what these name is still published there", () => {
    const graph = graphOf(10, ...twelve(10));
    const effect = graph.apply([user("uk"), link("inuk", U("uk"), G("crew"))]);
    const others = Array.from({ length: 10 }, (_, i) => U(`u${String.fromCharCode(97 + i)}`)).sort();
    assert.deepEqual(users(effect), { shrank: [], grew: [U("uk")], moved: others });
    assert.deepEqual([...effect.outdated].sort(), others);
    assert.ok(effect.rerouted);
  });

  it("does not flap: it falls back only a fifth below", () => {
    const graph = graphOf(10, ...twelve(11));
    const byMembership = () => graph.grants(U("ua")).patterns.includes(`@role.${G("crew")}.>`);
    assert.ok(byMembership());
    for (const leaver of ["uk", "uj"]) {
      assert.deepEqual(users(graph.apply([unlink(`in${leaver}`)])), { ...NOTHING, shrank: [U(leaver)] });
      assert.ok(byMembership());
    }
    // Eight are left.
    const last = graph.apply([unlink("inui")]);
    assert.deepEqual([...last.shrank], [U("ui")]);
    assert.equal(last.moved.size, 8);
    assert.equal(last.outdated.size, 0, "copies for a role hold what its members may read, as long as they are in it");
    assert.ok(!byMembership());
    // And on the way up nothing happens before there are more than ten.
    graph.apply([link("inui", U("ui"), G("crew")), link("inuj", U("uj"), G("crew"))]);
    assert.ok(!byMembership());
  });

  it("is found by members granted either way while it is between the two bounds", () => {
    // One process has seen the role shrink, another has only ever known it as it is.
    const seenShrink = graphOf(10, ...twelve(11));
    seenShrink.apply([unlink("inuk")]);
    const fresh = graphOf(10, ...twelve(10));
    const object = collection("c", G("plan"));
    assert.notEqual(seenShrink.grants(U("ua")).hash, fresh.grants(U("ua")).hash);
    assert.deepEqual(seenShrink.route(object, NOW), fresh.route(object, NOW));
    const hears = (patterns: readonly string[]) =>
      fresh
        .route(object, NOW)
        .some((tail) => patterns.some((one) => one.endsWith(">") && tail.startsWith(one.slice(0, -1))));
    assert.ok(hears(seenShrink.grants(U("ua")).patterns));
    assert.ok(hears(fresh.grants(U("ua")).patterns));
  });
});
