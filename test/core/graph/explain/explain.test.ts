import assert from "node:assert/strict";
import { engineFor } from "../../../vectors/judge.ts";
import { graphRows, readVectors, NOW as VECTOR_NOW, worldObjects } from "../../../vectors/world.ts";
import { C, collection, G, graphOf, K, L, link, NOW, project, request, role, U, unlink, user } from "../cast.ts";

const world = [
  user("ann"),
  user("bob"),
  project("p", U("ann")),
  project("q", G("p")),
  role("x"),
  link("l1", U("bob"), G("x")),
  link("l2", G("x"), G("p"), "can_write"),
];

describe("explain", function () {
  this.timeout(30_000);

  it("names the chain of links and owners", () => {
    const { allowed, steps } = graphOf(50, ...world).explain(U("bob"), collection("c", G("q")), NOW);
    assert.ok(allowed);
    assert.deepEqual(steps, [
      `user ${U("bob")} is in role ${G("x")} by link ${L("l1")} (can_read)`,
      `role ${G("x")} may write project ${G("p")} by link ${L("l2")} (can_write)`,
      `project ${G("p")} owns project ${G("q")}`,
      `project ${G("q")} owns this collection`,
    ]);
  });

  it("names the managed user whose rights are used", () => {
    const graph = graphOf(50, ...world, user("cyd"), link("l3", U("cyd"), U("bob"), "can_manage"));
    const { steps } = graph.explain(U("cyd"), collection("c", G("q")), NOW);
    assert.equal(steps[0], `user ${U("cyd")} may manage user ${U("bob")} by link ${L("l3")} (can_manage)`);
    assert.equal(steps[1], `so user ${U("cyd")} reads whatever user ${U("bob")} reads`);
    assert.equal(steps.length, 6);
  });

  it("names the role that somebody is not in", () => {
    const graph = graphOf(50, ...world, unlink("l1"));
    const { allowed, steps } = graph.explain(U("bob"), collection("c", G("q")), NOW);
    assert.ok(!allowed);
    assert.deepEqual(steps, [
      `this collection belongs to project ${G("q")}, which belongs to project ${G("p")}, which belongs to user ${U("ann")}`,
      `role ${G("x")} may write project ${G("p")} by link ${L("l2")} (can_write), but user ${U("bob")} is not in role ${G("x")}`,
    ]);
  });

  it("says that reading a user's record is not reading what the user owns", () => {
    const graph = graphOf(50, user("ann"), user("bob"), link("l1", U("bob"), U("ann")));
    const { steps } = graph.explain(U("bob"), collection("c", U("ann")), NOW);
    assert.match(steps.at(-1) ?? "", /gives the user's record; only can_manage gives what the user owns$/);
  });

  it("says that a link of an unknown name gives nothing, or that there is no link", () => {
    const graph = graphOf(50, ...world, unlink("l1"), unlink("l2"), link("l4", U("bob"), G("p"), "can_sing"));
    assert.match(
      graph.explain(U("bob"), collection("c", G("q")), NOW).steps[1] ?? "",
      /but a link of that name gives nothing$/,
    );
    graph.apply([unlink("l4")]);
    assert.match(
      graph.explain(U("bob"), collection("c", G("q")), NOW).steps[1] ?? "",
      /^no permission link leads from /,
    );
  });

  it("says that two steps of management do not reach projects", () => {
    const graph = graphOf(
      50,
      ...[user("ann"), user("bob"), user("cyd"), project("p", U("ann"))],
      link("l1", U("cyd"), U("bob"), "can_manage"),
      link("l2", U("bob"), U("ann"), "can_manage"),
    );
    const { steps } = graph.explain(U("cyd"), collection("c", G("p")), NOW);
    assert.match(steps.at(-1) ?? "", /manages a user who manages .*: one step too far for projects$/);
  });

  it("explains trash, inactive users, merged users, unknown users and containers that no request shows", () => {
    const graph = graphOf(
      50,
      ...world,
      project("bin", U("ann"), { trash_at: NOW - 1, frozen_by_uuid: U("ann") }),
      user("off", { is_active: false }),
      user("old", { redirect_to_user_uuid: U("ann") }),
      request("r", G("bin"), K("k")),
    );
    const say = (
      who: string,
      uuid: string,
      resource: "workflows" | "collections" | "users" | "containers",
      owner: string,
    ) => graph.explain(who, { uuid, resource, owner }, NOW).steps[0] ?? "";
    assert.match(
      say(U("ann"), "w", "workflows", G("bin")),
      /is in the trash, and a workflow in the trash is hidden from everybody$/,
    );
    assert.match(
      say(U("ann"), C("c"), "collections", G("bin")),
      /in the trash inside a frozen project, so only admins see it$/,
    );
    assert.match(
      say(U("ann"), U("off"), "users", U("root")),
      /is not active, so only that user and admins see the record$/,
    );
    assert.match(
      say(U("ann"), U("old"), "users", U("root")),
      /merged into another account, so Arvados shows the record to nobody$/,
    );
    assert.match(say(U("old"), C("c"), "collections", G("p")), /was merged into another account$/);
    assert.match(say(U("zoe"), C("c"), "collections", G("p")), /^there is no user /);
    assert.match(
      say(U("ann"), K("k"), "containers", U("root")),
      /^every container request that shows .* is in the trash$/,
    );
    assert.match(say(U("ann"), K("j"), "containers", U("root")), /^no container request shows /);
  });

  it("decides as check does, always gives a reason, and names only links that exist", () => {
    for (const world of readVectors("test/vectors/permissions/random.json.gz").worlds.slice(0, 80)) {
      const graph = engineFor(world, { audienceMin: 3 });
      graph.apply([...graphRows(world).values()]);
      const links = new Set(world.links.map((one) => one.uuid));
      for (const { uuid } of world.users) {
        for (const object of worldObjects(world)) {
          const { allowed, steps } = graph.explain(uuid, object, VECTOR_NOW);
          assert.equal(allowed, graph.check(uuid, object, VECTOR_NOW));
          assert.ok(steps.length > 0 && steps.every((step) => step.length > 0), `${world.name} ${uuid} ${object.uuid}`);
          for (const [named] of steps.join().matchAll(/(?<=by link )\S{27}/g)) assert.ok(links.has(named));
        }
      }
    }
  });

  it("names chains in which each link ends where the next begins", () => {
    const graph = graphOf(50, ...world);
    const { steps } = graph.explain(U("bob"), collection("c", G("q")), NOW);
    for (const [i, step] of steps.entries()) {
      const next = steps[i + 1];
      if (next === undefined) break;
      const named = [...step.matchAll(/zzzzz-(?:tpzed|j7d0g)-\w{15}/g)].map(([uuid]) => uuid);
      assert.ok(named.at(-1) && next.includes(named.at(-1) as string), `${step} -> ${next}`);
    }
  });
});
