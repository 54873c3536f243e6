import assert from "node:assert/strict";
import { C, collection, G, graphOf, K, link, lives, NOW, project, Q, request, role, U, unlink, user } from "../cast.ts";

const FEW = Number.POSITIVE_INFINITY;
const own = (name: string) => [`${U(name)}.>`, `@manage.${U(name)}.>`, "@roles.>", `@user.${U(name)}.>`];

function extra(graph: ReturnType<typeof graphOf>, name: string): string[] {
  return graph.grants(U(name)).patterns.filter((pattern) => !own(name).includes(pattern));
}

describe("grants", () => {
  it("give a user with nothing their own things, their own links and the roles that everybody sees", () => {
    assert.deepEqual(graphOf(FEW, user("ann")).grants(U("ann")).patterns, own("ann").sort());
  });

  it("give an admin everything, in one pattern", () => {
    assert.deepEqual(graphOf(FEW).grants(U("root")).patterns, [">"]);
  });

  it("give an unknown or merged user a pattern under which nothing is published", () => {
    const merged = user("old", { redirect_to_user_uuid: U("ann") });
    const graph = graphOf(FEW, user("ann"), merged);
    assert.deepEqual(graph.grants(U("nobody")).patterns, [`@none.${U("nobody")}`]);
    assert.deepEqual(graph.grants(U("old")).patterns, [`@none.${U("old")}`]);
    assert.deepEqual(graph.grants("*.>").patterns, ["@none.%2A%2E%3E"]);
  });

  it("name a shared project by its owner path, and swallow what is shared below it", () => {
    const graph = graphOf(
      FEW,
      user("ann"),
      user("bob"),
      project("top", U("ann")),
      project("sub", G("top")),
      lives(C("c"), G("sub")),
      link("one", U("bob"), G("sub")),
      link("two", U("bob"), C("c")),
    );
    assert.deepEqual(extra(graph, "bob"), [`${U("ann")}.${G("top")}.${G("sub")}.>`]);
    const effect = graph.apply([link("three", U("bob"), G("top"))]);
    assert.deepEqual(extra(graph, "bob"), [`${U("ann")}.${G("top")}.>`]);
    assert.deepEqual([...effect.grew], [U("bob")]);
  });

  it("name a single shared object literally, and of a request its container too", () => {
    const graph = graphOf(
      FEW,
      user("ann"),
      user("bob"),
      lives(C("c"), U("ann")),
      request("q", U("ann"), K("k")),
      link("one", U("bob"), C("c")),
      link("two", U("bob"), Q("q")),
    );
    assert.deepEqual(extra(graph, "bob"), [`${U("ann")}.${C("c")}.collections`, `${U("ann")}.${Q("q")}.>`]);
    const route = graph.route({ uuid: K("k"), resource: "containers", owner: U("root") }, NOW);
    assert.deepEqual(route, [`${U("ann")}.${Q("q")}.${K("k")}.containers`]);
  });

  it("reach two steps of user management kind by kind, each pattern ending in a literal, and no projects", () => {
    const graph = graphOf(
      FEW,
      user("ann"),
      user("bob"),
      user("cyd"),
      project("plan", U("ann")),
      link("one", U("cyd"), U("bob"), "can_manage"),
      link("two", U("bob"), U("ann"), "can_manage"),
    );
    const { patterns } = graph.grants(U("cyd"));
    assert.ok(patterns.includes(`${U("bob")}.>`));
    assert.ok(patterns.includes(`${U("ann")}.*.collections`));
    assert.ok(patterns.includes(`${U("ann")}.*.*.containers`));
    assert.ok(!patterns.includes(`${U("ann")}.>`));
    assert.ok(graph.check(U("cyd"), collection("c", U("ann")), NOW));
    assert.ok(!graph.check(U("cyd"), collection("c", G("plan")), NOW));
    assert.ok(graph.check(U("bob"), collection("c", G("plan")), NOW));
  });

  it("match an event about a user as what the user owns, and not as the user's record, for all who read the one", () => {
    const graph = graphOf(
      2,
      user("ann"),
      user("bob"),
      user("eve"),
      user("far"),
      role("crew"),
      ...["bob", "eve", "far"].map((name) => link(`in${name}`, U(name), G("crew"))),
      link("record", U("eve"), U("ann")),
      link("manage", G("crew"), U("ann"), "can_manage"),
    );
    const tail = `${U("ann")}.${U("ann")}.users`;
    assert.deepEqual(graph.routeOwned(U("ann")), [tail, `@role.${G("crew")}.${tail}`]);
    graph.apply([unlink("manage")]);
    assert.deepEqual(graph.routeOwned(U("ann")), [tail]);
    assert.ok(graph.grants(U("ann")).patterns.includes(`${U("ann")}.>`));
    assert.ok(!graph.grants(U("eve")).patterns.some((pattern) => pattern.startsWith(U("ann"))));
  });

  it("have equal hashes for equal rights, in whatever order the rows came", () => {
    const rows = [
      user("ann"),
      user("bob"),
      project("p", U("ann")),
      role("r"),
      link("1", U("bob"), G("r")),
      link("2", G("r"), G("p")),
    ];
    const there = graphOf(FEW, ...rows);
    const back = graphOf(FEW, ...rows.reverse());
    assert.deepEqual(there.grants(U("bob")), back.grants(U("bob")));
    assert.notEqual(there.grants(U("bob")).hash, there.grants(U("ann")).hash);
  });

  it("never let a uuid add a token or a wildcard", () => {
    const evil = "*.>.x-j7d0g-000000000000000";
    const graph = graphOf(
      FEW,
      user("bob"),
      {
        kind: "group",
        uuid: evil,
        row: { id: 1, uuid: evil, owner_uuid: U("root"), group_class: "project", trash_at: null, frozen_by_uuid: null },
      },
      link("one", U("bob"), evil),
    );
    assert.deepEqual(extra(graph, "bob"), [`${U("root")}.%2A%2E%3E%2Ex-j7d0g-000000000000000.>`]);
  });

  it("leave out what lies too deep to be published, while check still answers by rights", () => {
    const names = Array.from({ length: 120 }, (_, i) => `d${i}`.padEnd(15, "x"));
    const rows = names.map((name, i) => project(name, i === 0 ? U("ann") : G(names[i - 1] as string)));
    const deepest = G(names[119] as string);
    const graph = graphOf(FEW, user("ann"), user("bob"), ...rows, link("one", U("bob"), deepest));
    const object = collection("c", deepest);
    assert.deepEqual(graph.route(object, NOW), []);
    assert.equal(graph.overlongRoutes, 1);
    assert.ok(graph.check(U("ann"), object, NOW) && graph.check(U("bob"), object, NOW));
    assert.deepEqual(extra(graph, "bob"), []);
  });
});
