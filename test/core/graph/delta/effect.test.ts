import assert from "node:assert/strict";
import type { Effect } from "../../../../core/graph-types.ts";
import { C, collection, G, graphOf, link, lives, NOW, project, role, U, unlink, user } from "../cast.ts";

const users = ({ shrank, grew, moved }: Effect) => ({ shrank: [...shrank], grew: [...grew], moved: [...moved] });
const NOTHING = { shrank: [], grew: [], moved: [] };
const world = [
  user("ann"),
  user("bob"),
  project("top", U("ann")),
  project("sub", G("top")),
  project("else", U("ann")),
  role("crew"),
  link("in", U("bob"), G("crew")),
];
const few = () => graphOf(50, ...world);

describe("what a delta is said to have done", () => {
  it("is nothing if nothing changed: the same row, an unknown link deleted, a level that reads the same", () => {
    const graph = few();
    graph.apply([link("share", U("bob"), G("top"))]);
    assert.deepEqual(users(graph.apply([link("share", U("bob"), G("top"))])), NOTHING);
    assert.deepEqual(users(graph.apply([unlink("never"), ...world])), NOTHING);
    assert.deepEqual(users(graph.apply([link("share", U("bob"), G("top"), "can_write")])), NOTHING);
    assert.deepEqual(users(graph.apply([])), NOTHING);
  });

  it("names who gained and who lost, through roles too", () => {
    const graph = few();
    assert.deepEqual(users(graph.apply([link("share", G("crew"), G("top"))])), { ...NOTHING, grew: [U("bob")] });
    assert.deepEqual(users(graph.apply([unlink("in")])), { ...NOTHING, shrank: [U("bob")] });
  });

  it("is nothing if a second link gives the same, or one of two is deleted", () => {
    const graph = few();
    graph.apply([link("one", U("bob"), G("top"))]);
    assert.deepEqual(users(graph.apply([link("two", U("bob"), G("top"))])), NOTHING);
    assert.deepEqual(users(graph.apply([link("three", U("bob"), G("sub"))])), NOTHING);
    assert.deepEqual(users(graph.apply([unlink("one")])), NOTHING);
  });

  it("is a loss if one right is lost and another is gained", () => {
    const graph = few();
    graph.apply([link("one", U("bob"), G("top"))]);
    const effect = graph.apply([unlink("one"), link("two", U("bob"), G("else"))]);
    assert.deepEqual(users(effect), { ...NOTHING, shrank: [U("bob")] });
  });

  it("is a loss if only the upper of two nested shares ends", () => {
    const graph = few();
    graph.apply([link("one", U("bob"), G("top")), link("two", U("bob"), G("sub"))]);
    assert.deepEqual(users(graph.apply([unlink("one")])), { ...NOTHING, shrank: [U("bob")] });
  });

  it("is a move if a shared project moves", () => {
    const graph = few();
    graph.apply([link("share", U("bob"), G("sub"))]);
    const effect = graph.apply([project("sub", G("else"))]);
    assert.deepEqual(users(effect), { ...NOTHING, moved: [U("bob")] });
    assert.ok(effect.rerouted);
  });

  it("is a move if it moves below another share, and a loss if that share then ends", () => {
    const graph = few();
    graph.apply([link("one", U("bob"), G("sub")), link("two", U("bob"), G("else"))]);
    assert.deepEqual(users(graph.apply([project("sub", G("else"))])), { ...NOTHING, moved: [U("bob")] });
    assert.deepEqual(users(graph.apply([unlink("one")])), NOTHING);
    assert.deepEqual(users(graph.apply([unlink("two")])), { ...NOTHING, shrank: [U("bob")] });
  });

  it("is only a new route if a project leaves a shared one: the grant no longer matches it", () => {
    const graph = few();
    graph.apply([link("share", U("bob"), G("top"))]);
    const effect = graph.apply([project("sub", U("ann"))]);
    assert.deepEqual(users(effect), NOTHING);
    assert.ok(effect.rerouted);
    assert.ok(!graph.check(U("bob"), collection("c", G("sub")), NOW));
  });

  it("is a move if a single shared object moves", () => {
    const graph = few();
    graph.apply([lives(C("c"), G("sub")), link("share", U("bob"), C("c"))]);
    assert.deepEqual(users(graph.apply([lives(C("c"), G("else"))])), { ...NOTHING, moved: [U("bob")] });
  });

  it("reaches those who manage a user whose rights changed, one step and no further", () => {
    const graph = graphOf(50, ...world, user("cyd"), user("dan"));
    graph.apply([link("cb", U("cyd"), U("bob"), "can_manage"), link("dc", U("dan"), U("cyd"), "can_manage")]);
    const effect = graph.apply([link("share", G("crew"), G("top"))]);
    assert.deepEqual([...effect.grew].sort(), [U("bob"), U("cyd")]);
  });

  it("removes what user management gave when the user leaves the role that gave it (Arvados' own incremental revoke keeps it)", () => {
    const graph = graphOf(50, ...world);
    graph.apply([link("manage", G("crew"), U("ann"), "can_manage"), link("read", U("bob"), U("ann"))]);
    assert.ok(graph.check(U("bob"), collection("c", G("top")), NOW));
    assert.deepEqual([...graph.apply([unlink("in")]).shrank], [U("bob")]);
    assert.ok(!graph.check(U("bob"), collection("c", G("top")), NOW));
    assert.ok(graph.check(U("bob"), { uuid: U("ann"), resource: "users", owner: U("root") }, NOW));
  });

  it("follows flags: admins gain everything and lose it, inactive users no longer see roles, deleted users lose all", () => {
    const graph = few();
    assert.deepEqual([...graph.apply([user("bob", { is_admin: true })]).grew], [U("bob")]);
    assert.deepEqual([...graph.apply([user("bob")]).shrank], [U("bob")]);
    assert.deepEqual([...graph.apply([user("bob", { is_active: false })]).shrank], [U("bob")]);
    assert.deepEqual([...graph.apply([{ kind: "user", uuid: U("bob"), row: null }]).shrank], [U("bob")]);
    assert.deepEqual([...graph.apply([user("bob")]).grew], [U("bob")]);
  });
});
