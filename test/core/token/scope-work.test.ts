/** What scopes cost: whoever holds a token chooses them, so a login, a judgement and an answer must cost the same whatever they are. */
import assert from "node:assert/strict";
import { matches } from "../../../core/match.ts";
import { sessionRights } from "../../../core/session/session-rights.ts";
import { subjectsOf } from "../../../core/subjects.ts";
import type { ScopingEngine } from "../../../core/token/scoped-patterns.ts";
import {
  MAX_SCOPES,
  MAX_SCOPES_TEXT,
  reduceScopes,
  reduceScopesText,
  scopedWithin,
  scopesAllowObject,
} from "../../../core/token/scopes.ts";
import type { Identity } from "../../../core/token/token-index.ts";
import {
  C,
  collection,
  G,
  graphOf,
  K,
  link,
  lives,
  members,
  project,
  Q,
  request,
  role,
  U,
  user,
} from "../graph/cast.ts";

const MANY = 100_000;

const get = (resource: string, uuid: string) => `GET /arvados/v1/${resource}/${uuid}`;
const objects = (count: number) => Array.from({ length: count }, (_, i) => get("collections", C(`c${i}x`)));
const subjects = subjectsOf("zzzzz");
const identity = (scopes: readonly string[], more: Partial<Identity> = {}): Identity => ({
  user: U("bob"),
  token: "t",
  sessionToken: "t",
  scopes,
  expiresAt: null,
  containers: [],
  vouched: false,
  ...more,
});

describe("a token's scopes, reduced", () => {
  it("are those that have an effect, once each", () => {
    const one = get("groups", G("q"));
    assert.deepEqual(reduceScopes(["POST /x", one, one, 7, null, get("groups", C("c")), `${one}/`]), {
      scopes: [one],
      over: false,
    });
    assert.deepEqual(reduceScopes([...objects(MAX_SCOPES + 9), "all", "GET /"]), { scopes: ["all"], over: false });
    assert.deepEqual(reduceScopes([one, "GET /"]).scopes, ["GET /"]);
    for (const odd of [null, "all", { 0: "all" }, 7]) assert.deepEqual(reduceScopes(odd).scopes, []);
  });

  it("are none, and too many, above the bound", () => {
    assert.deepEqual(reduceScopes(objects(MAX_SCOPES)), { scopes: objects(MAX_SCOPES), over: false });
    assert.deepEqual(reduceScopes(objects(MAX_SCOPES + 1)), { scopes: [], over: true });
    assert.equal(reduceScopes([...objects(MAX_SCOPES), ...objects(MAX_SCOPES)]).over, false, "twice is once");
  });

  it("are not parsed if they are a megabyte, or 64 MiB", () => {
    const real = JSON.parse;
    let longest = 0;
    JSON.parse = (text: string) => {
      longest = Math.max(longest, text.length);
      return real(text);
    };
    try {
      for (const size of [1_200_000, 64 * 1024 * 1024]) {
        assert.equal(reduceScopesText(`["all","${"x".repeat(size)}"]`).over, true);
      }
      assert.equal(reduceScopesText(`["all"]`).over, false);
    } finally {
      JSON.parse = real;
    }
    assert.ok(longest <= MAX_SCOPES_TEXT);
  });

  it("are none if the text is nested as deep as fits, or is no list", () => {
    const deep = "[".repeat(MAX_SCOPES_TEXT / 2);
    for (const text of ["", "null", "---\n- all\n", '"all"', '{"all":1}', deep, deep + "]".repeat(deep.length)]) {
      assert.deepEqual(reduceScopesText(text), { scopes: [], over: false });
    }
  });
});

/** The rule, written without regard to what it costs: as it was before the work was bounded. */
function plainly(engine: ScopingEngine, who: string, scopes: readonly string[]): string[] {
  const { patterns } = engine.grants(who);
  const depths = (prefix: string, name: string) =>
    Array.from({ length: 9 }, (_, depth) => prefix + "*.".repeat(depth) + name);
  const found = new Set<string>();
  for (const scope of scopes) {
    const [, resource = "", uuid = ""] = /^GET \/arvados\/v1\/([a-z_]+)\/([0-9a-z-]+)$/.exec(scope) ?? [];
    const owner = engine.ownerOf(uuid);
    if (owner !== null || resource === "containers") {
      for (const tail of engine.route({ uuid, resource: resource as "groups", owner }, 0)) {
        if (patterns.some((pattern) => matches(pattern, tail))) found.add(tail);
      }
      continue;
    }
    const name = `${uuid}.${resource}`;
    for (const pattern of patterns) {
      const tokens = pattern.split(".");
      const [beforeLast, last] = tokens.splice(-2);
      const isOther = pattern.startsWith("@manage.") && resource !== "links";
      if (pattern === ">") for (const one of depths("", name)) found.add(one);
      else if (/^@(via|roles)\./.test(pattern) || isOther) continue;
      else if (pattern.endsWith(".>")) for (const one of depths(pattern.slice(0, -1), name)) found.add(one);
      else if (last === resource && (beforeLast === "*" || beforeLast === uuid)) found.add([...tokens, name].join("."));
    }
  }
  return found.size > 0 ? [...found].sort() : [`@none.${who}`];
}

describe("a token of single objects", () => {
  const graph = graphOf(
    2,
    user("ann"),
    user("bob"),
    user("cyd"),
    ...members("many", 3),
    role("many"),
    role("few"),
    link("bobmany", U("bob"), G("many")),
    link("bobfew", U("bob"), G("few")),
    project("p", U("ann")),
    project("q", G("p")),
    project("r", U("cyd")),
    project("s", U("bob")),
    link("one", U("bob"), G("p")),
    link("two", G("many"), G("r"), "can_manage"),
    link("three", U("bob"), U("cyd"), "can_manage"),
    link("four", U("bob"), C("shared")),
    link("five", G("few"), C("strange"), "can_manage"),
    lives(C("shared"), G("r")),
    request("q1", G("q"), K("k")),
    request("q2", G("s"), K("k")),
  );
  const named = [
    ...["p", "q", "r", "s", "many", "few"].map((name) => get("groups", G(name))),
    ...["ann", "bob", "cyd"].map((name) => get("users", U(name))),
    ...["shared", "strange", "c"].map((name) => get("collections", C(name))),
    get("container_requests", Q("q1")),
    get("containers", K("k")),
    get("containers", K("x")),
    get("links", "zzzzz-o0j2j-four00000000000"),
    get("workflows", "zzzzz-7fd4e-000000000000000"),
    get("api_client_authorizations", "zzzzz-gj3su-000000000000000"),
  ];

  it("has the rights that it always had", () => {
    let patterns = 0;
    for (const who of [U("ann"), U("bob"), U("cyd"), U("ua"), U("root"), U("nobody")]) {
      for (const scopes of [...named.map((scope) => [scope]), named]) {
        const found = scopedWithin(graph, who, scopes, MANY) ?? [];
        assert.deepEqual(found, plainly(graph, who, scopes), `${who} ${scopes}`);
        patterns += found.length;
      }
    }
    assert.ok(patterns > 500, `${patterns} patterns were compared`);
  });

  it("is refused exactly if it has more patterns than a session may have", () => {
    const count = scopedWithin(graph, U("bob"), named, MANY)?.length ?? 0;
    assert.equal(scopedWithin(graph, U("bob"), named, count)?.length, count);
    assert.equal(scopedWithin(graph, U("bob"), named, count - 1), null);
    const rights = sessionRights(graph, subjects, identity(named), [], count);
    assert.deepEqual([rights.over, rights.subscribe, rights.publish], [count + 1, [], []]);
    assert.equal(sessionRights(graph, subjects, identity(named), [], count + 1).over, undefined);
  });
});

/** The engine, and how often what costs something was asked of it. */
function counted(graph: ReturnType<typeof graphOf>) {
  const counts = { grants: 0, route: 0, ownerOf: 0 };
  const engine: ScopingEngine = {
    grants(who) {
      counts.grants++;
      return graph.grants(who);
    },
    route(object, now) {
      counts.route++;
      return graph.route(object, now);
    },
    ownerOf(uuid) {
      counts.ownerOf++;
      return graph.ownerOf(uuid);
    },
    get version() {
      return graph.version;
    },
  };
  return { engine, counts };
}

describe("the work of scopes", () => {
  const own = Array.from({ length: MAX_SCOPES }, (_, i) => `p${i}x`);
  const graphOfMany = () => graphOf(50, user("ann"), user("bob"), ...own.map((name) => project(name, U("bob"))));
  const scopes = own.map((name) => get("groups", G(name)));

  it("is done once for all sessions, cutting rounds and answers of a token, until the graph changes", () => {
    const graph = graphOfMany();
    const { engine, counts } = counted(graph);
    const list = [...scopes];
    for (let session = 0; session < 1_000; session++) scopedWithin(engine, U("bob"), list, 4_000);
    assert.deepEqual(counts, { grants: 1, route: MAX_SCOPES, ownerOf: MAX_SCOPES });
    graph.apply([]);
    scopedWithin(engine, U("bob"), list, 4_000);
    assert.equal(counts.route, MAX_SCOPES, "a commit that changes no permission");
    graph.apply([project("p0x", U("ann"))]);
    assert.ok(!scopedWithin(engine, U("bob"), list, 4_000)?.some((pattern) => pattern.includes(G("p0x"))));
    assert.equal(counts.route, 2 * MAX_SCOPES);
  });

  it("is separate for other scopes of the same user", () => {
    const graph = graphOfMany();
    const [one, two] = [scopes.slice(0, 1), scopes.slice(1, 2)];
    const of = (who: string, list: readonly string[]) => scopedWithin(graph, U(who), list, MANY);
    assert.notDeepEqual(of("bob", one), of("bob", two));
    assert.notDeepEqual(of("bob", one), of("ann", one));
  });

  it("ends at the first object too many, and is not built first", () => {
    const { engine, counts } = counted(graphOfMany());
    assert.equal(scopedWithin(engine, U("bob"), objects(MAX_SCOPES), 100), null);
    assert.ok(counts.ownerOf <= 15, `${counts.ownerOf} objects were looked at`);
  });

  it("ends if too many requests show a container", () => {
    const requests = Array.from({ length: 4_001 }, (_, i) => request(`r${i}x`, U("bob"), K("k")));
    const graph = graphOf(50, user("bob"), ...requests);
    assert.equal(scopedWithin(graph, U("bob"), [get("containers", K("k"))], 100_000), null);
  });

  it("is one look-up for a log message, however many objects the token names", () => {
    const timed = (list: readonly string[]) => {
      const begun = performance.now();
      for (let i = 0; i < 20_000; i++) scopesAllowObject(list, collection("zz", U("bob")));
      return performance.now() - begun;
    };
    const [many, one] = [objects(MAX_SCOPES), objects(1)];
    timed(many);
    timed(one);
    const [slow, quick] = [timed(many), timed(one)];
    assert.ok(slow < 20 * quick + 20, `${slow} ms and ${quick} ms`);
  });

  it("is not repeated for each session of a plain user's containers", () => {
    const shares = Array.from({ length: 2_000 }, (_, i) => [
      project(`s${i}x`, U("ann")),
      link(`l${i}x`, U("bob"), G(`s${i}x`)),
    ]).flat();
    const graph = graphOf(50, user("ann"), user("bob"), ...shares);
    const first = sessionRights(graph, subjects, identity(["all"], { containers: [K("k1")] }));
    const other = sessionRights(graph, subjects, identity(["all"], { containers: [K("k2")] }));
    assert.equal(first.subscribe, other.subscribe, "one list of subjects");
    assert.notEqual(first.hash, other.hash);
    const dispatcher = sessionRights(graph, subjects, identity(["all"]), ["dispatch"]);
    assert.equal(dispatcher.subscribe.length, first.subscribe.length + 1);
    assert.notEqual(dispatcher.hash, sessionRights(graph, subjects, identity(["all"])).hash);
  });
});
