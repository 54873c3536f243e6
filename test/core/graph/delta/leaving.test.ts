import assert from "node:assert/strict";
import { collection, G, graphOf, link, NOW, project, U, user } from "../cast.ts";

describe("the last event on a path that an object has left", () => {
  const world = [user("ann"), user("bob"), project("here", U("ann")), project("there", U("ann"))];

  it("goes to all who could read it there", () => {
    const graph = graphOf(50, ...world);
    const c = collection("c", G("there"));
    assert.deepEqual(graph.routeLeft(c, G("here"), NOW), [`${U("ann")}.${G("here")}.${c.uuid}.collections`]);
  });

  it("goes to admins only if trash hid the object, even if it is shared with others", () => {
    const frozen = project("here", U("ann"), { frozen_by_uuid: U("ann") });
    const moved = project("p", G("there"), { trash_at: NOW - 1 });
    const graph = graphOf(50, ...world, frozen, moved, link("l", U("bob"), G("p")));
    const p = { uuid: G("p"), resource: "groups" as const, owner: G("there") };
    assert.deepEqual(graph.routeLeft(p, G("here"), NOW), [`@admin.${G("p")}.groups`]);
  });
});
