import { strict as assert } from "node:assert";
import { difference, interests, livePatterns } from "../../client/patterns.ts";

const LIVE = "arvados.zzzzz.live.";
const of = (grants: string[], interest = {}) =>
  livePatterns(grants, LIVE, interest).map((pattern) => pattern.slice(LIVE.length));

describe("patterns to subscribe to", () => {
  it("are the live ones among the grants, each once", () => {
    const grants = [
      "_INBOX.t.s.>",
      `${LIVE}alice.>`,
      `${LIVE}@resync`,
      "arvados.zzzzz.notice.t.s",
      `${LIVE}alice.>`,
      "arvados.yyyyy.live.alice.>",
    ];
    assert.deepEqual(livePatterns(grants, LIVE, {}), [`${LIVE}alice.>`]);
  });

  it("leave out literal grants of another resource", () => {
    const grants = [`${LIVE}alice.p.>`, `${LIVE}alice.p.c1.collections`, `${LIVE}alice.p.groups`];
    assert.deepEqual(of(grants, { resource: "collections" }), ["alice.p.>", "alice.p.c1.collections"]);
  });

  it("are narrowed to an owner path that lies under a grant", () => {
    assert.deepEqual(of([`${LIVE}>`], { under: "alice.p" }), ["alice.p.>"]);
    assert.deepEqual(of([`${LIVE}alice.>`, `${LIVE}bob.>`], { under: "alice.p" }), ["alice.p.>"]);
  });

  it("keep a grant that lies under the owner path", () => {
    assert.deepEqual(of([`${LIVE}alice.p.sub.>`, `${LIVE}alice.q.>`], { under: "alice.p" }), ["alice.p.sub.>"]);
  });

  it("keep what a uuid alone cannot narrow, and role copies, for the filter behind", () => {
    assert.deepEqual(of([`${LIVE}alice.>`], { under: "p" }), ["alice.>"]);
    assert.deepEqual(of([`${LIVE}@role.r.alice.p.>`], { under: "alice.p" }), ["@role.r.alice.p.>"]);
  });

  it("come with a filter for what the server cannot narrow", () => {
    assert.equal(interests("alice.p.c1.collections", { resource: "collections", under: "p" }), true);
    assert.equal(interests("alice.p.c1.collections", { resource: "groups" }), false);
    assert.equal(interests("alice.q.c1.collections", { under: "p" }), false);
    assert.equal(interests("@role.r.alice.p.c1.collections", { under: "alice.p" }), true);
    assert.equal(interests("alice.p.groups", { under: "p" }), true);
  });

  it("change by opening what is new and closing what is gone", () => {
    assert.deepEqual(difference(["a", "b"], ["b", "c"]), { open: ["c"], close: ["a"] });
    assert.deepEqual(difference(["a"], ["a"]), { open: [], close: [] });
  });
});
