import assert from "node:assert/strict";
import { matches } from "../../../core/match.ts";
import { scopedWithin, scopesAllowObject } from "../../../core/token/scopes.ts";
import { natsMatches } from "../../vectors/nats-match.ts";
import { C, collection, G, graphOf, K, link, NOW, project, Q, request, U, user } from "../graph/cast.ts";

const graph = graphOf(
  50,
  user("ann"),
  user("bob"),
  project("p", U("ann")),
  project("q", G("p")),
  request("r", G("q"), K("k")),
  link("l", U("bob"), G("p")),
);
const MANY = 100_000;
const of = (...scopes: string[]) => scopedWithin(graph, U("bob"), scopes, MANY) ?? [];
const hears = (patterns: readonly string[], subjects: readonly string[]) =>
  subjects.some((subject) => patterns.some((pattern) => natsMatches(pattern, subject)));

describe("a token's scopes", () => {
  it("leave everything with `all` and with `GET /`", () => {
    assert.deepEqual(of("all"), graph.grants(U("bob")).patterns);
    assert.deepEqual(of("GET /"), graph.grants(U("bob")).patterns);
  });

  it("leave one object with its GET, wherever it is in reach", () => {
    const patterns = of(`GET /arvados/v1/collections/${C("c")}`);
    assert.ok(hears(patterns, graph.route(collection("c", G("q")), NOW)));
    assert.ok(hears(patterns, graph.route(collection("c", U("bob")), NOW)));
    assert.ok(!hears(patterns, graph.route(collection("d", G("q")), NOW)));
    assert.ok(!hears(patterns, graph.route(collection("c", U("ann")), NOW)), "out of the user's own reach");
    assert.ok(patterns.every((pattern) => pattern.endsWith(`.${C("c")}.collections`)));
  });

  it("name an object that the graph knows in full", () => {
    assert.deepEqual(of(`GET /arvados/v1/groups/${G("q")}`), [`${U("ann")}.${G("p")}.${G("q")}.groups`]);
    const path = `${U("ann")}.${G("p")}.${G("q")}.${Q("r")}`;
    assert.deepEqual(of(`GET /arvados/v1/container_requests/${Q("r")}`), [`${path}.container_requests`]);
    assert.deepEqual(of(`GET /arvados/v1/containers/${K("k")}`), [`${path}.${K("k")}.containers`]);
    assert.deepEqual(of(`GET /arvados/v1/users/${U("bob")}`), [`@user.${U("bob")}.${U("bob")}.users`]);
  });

  it("leave nothing of what the user may not read", () => {
    assert.deepEqual(of(`GET /arvados/v1/users/${U("ann")}`), [`@none.${U("bob")}`]);
  });

  it("leave nothing with any other scope or without scopes: one pattern under which nothing is published", () => {
    for (const scope of [
      "POST /arvados/v1/collections",
      "GET /arvados/v1/collections",
      "GET /arvados/v1/collections/",
      `GET /arvados/v1/collections/${C("c")}/`,
      `GET /arvados/v1/groups/${C("c")}`,
      `POST /arvados/v1/collections/${C("c")}`,
      `GET /arvados/v1/collections/${C("c")} `,
      "GET /arvados/v1/collections/*",
      "get /",
      "",
    ]) {
      assert.deepEqual(of(scope), [`@none.${U("bob")}`], scope);
      assert.ok(!scopesAllowObject([scope], collection("c", G("q"))), scope);
    }
    assert.deepEqual(of(), [`@none.${U("bob")}`]);
  });

  it("add up", () => {
    const one = `GET /arvados/v1/groups/${G("q")}`;
    const two = `GET /arvados/v1/groups/${G("p")}`;
    assert.deepEqual(of(one, "PUT /x", two), [...of(one), ...of(two)].sort());
    assert.deepEqual(of(one, "all"), of("all"));
  });

  it("never give a pattern that ends in an asterisk or an empty list, also not to an admin", () => {
    const patterns = scopedWithin(graph, U("root"), [`GET /arvados/v1/collections/${C("c")}`], MANY) ?? [];
    assert.ok(patterns.length > 0 && patterns.every((pattern) => !/[*>]$/.test(pattern)));
    assert.ok(hears(patterns, graph.route(collection("c", G("q")), NOW)));
  });

  it("allow to read an object, or not", () => {
    const allow = (scope: string) => scopesAllowObject([scope], collection("c", G("q")));
    assert.ok(allow("all"));
    assert.ok(allow(`GET /arvados/v1/collections/${C("c")}`));
    assert.ok(!allow(`GET /arvados/v1/collections/${C("d")}`));
    assert.ok(!allow("POST /"));
  });
});

describe("matches", () => {
  it("agrees with the matcher of the tests", () => {
    const tokens = ["a", "b", "*", ">"];
    const all = (length: number, from: string[]): string[][] =>
      length === 0 ? [[]] : all(length - 1, from).flatMap((rest) => from.map((token) => [...rest, token]));
    const subjects = [1, 2, 3, 4].flatMap((length) => all(length, ["a", "b"])).map((one) => one.join("."));
    const patterns = [1, 2, 3]
      .flatMap((length) => all(length, tokens))
      .filter((one) => !one.slice(0, -1).includes(">"))
      .map((one) => one.join("."));
    for (const pattern of patterns) {
      for (const subject of subjects) {
        assert.equal(matches(pattern, subject), natsMatches(pattern, subject), `${pattern} ${subject}`);
      }
    }
  });
});
