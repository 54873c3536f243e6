/**
 * What one login, one judgement, one answer and one look at a log cost where the token names as many objects as it may, and its user has
 * as many grants as one may have: work is counted, and time is compared with that of a plain token.
 */
import assert from "node:assert/strict";
import { authorize, type GraphView } from "../../../authcallout/login/authorizer.ts";
import { Enforcer, type EnforcerParts } from "../../../authcallout/revocation/enforcer.ts";
import { Endings } from "../../../authcallout/sessions/endings.ts";
import { Fault } from "../../../core/errors.ts";
import { PermissionGraph } from "../../../core/graph/permission-graph.ts";
import type { TokenRow } from "../../../core/rows.ts";
import { RoleIndex } from "../../../core/session/roles.ts";
import type { SessionName } from "../../../core/session/session.ts";
import { subjectsOf } from "../../../core/subjects.ts";
import { MAX_SCOPES } from "../../../core/token/scopes.ts";
import { sha256 } from "../../../core/token/token.ts";
import { TokenIndex } from "../../../core/token/token-index.ts";
import { createAccess } from "../../../proxy/gateway/access.ts";
import type { PermissionReplica } from "../../../replica/permission-replica.ts";
import { C, G, link, project, U, user } from "../../core/graph/cast.ts";

const GRANTS = 4_000;
const NOW = 1_000_000_000_000;
const REVISION = { epoch: 1, sequence: 9 };
const subjects = subjectsOf("zzzzz");
const tokenUuid = (name: string) => `zzzzz-gj3su-${name.padEnd(15, "0")}`;
const number = (n: number) => String(n).padStart(4, "0");

/** Bob has just as many grants as one may have; of his own projects his token names as many as it may. */
function world() {
  const rows = [user("ann"), user("bob")];
  // Beside the shares: what is his own, notices of his, roles, what he manages, `@resync`.
  for (let n = 0; n < GRANTS - 6; n++)
    rows.push(project(`s${number(n)}x`, U("ann")), link(`l${number(n)}x`, U("bob"), G(`s${number(n)}x`)));
  const own = Array.from({ length: MAX_SCOPES }, (_, n) => `o${number(n)}x`);
  for (const name of own) rows.push(project(name, U("bob")));
  // Nobody is an audience of himself: then he would have few patterns.
  const graph = new PermissionGraph({
    clusterId: "zzzzz",
    roleGroupsVisibleToAll: true,
    audienceMin: 50,
    heavyMin: Number.POSITIVE_INFINITY,
  });
  graph.load(rows);
  const counts = { route: 0, ownerOf: 0 };
  counting(graph, counts);
  const tokens = new TokenIndex({ clusterId: "zzzzz", systemRootToken: "", anonymousSecret: "" });
  const token = (name: string, scopes: string[]) => {
    const uuid = tokenUuid(name);
    const hashes = { secret_sha256: sha256(name), salted_sha256: "" };
    const row: TokenRow = { id: 1, uuid, user_uuid: U("bob"), scopes, expires_at: null, refreshes_at: null, ...hashes };
    tokens.apply([{ kind: "token", uuid, row }]);
  };
  token("plain", ["all"]);
  token(
    "worst",
    own.map((name) => `GET /arvados/v1/groups/${G(name)}`),
  );
  token(
    "unplaced",
    own.map((name) => `GET /arvados/v1/collections/${C(name)}`),
  );
  const roles = new RoleIndex(new Map());
  const view: GraphView = { graph, tokens, roles, revision: REVISION, age: () => 0 };
  const options = { clusterId: "zzzzz", subjects, sessionTtl: 3_600_000, stalenessRefuse: 10_000, grantsMax: GRANTS };
  const login = (name: string) =>
    authorize({ token: `v2/${tokenUuid(name)}/${name}`, user: undefined as never }, view, null, options, NOW, 0);
  const parts = {
    follower: { graph, tokens, roles, revision: REVISION },
    subjects,
    grantsMax: GRANTS,
    endings: new Endings(NOW),
    sessionTtl: 3_600_000,
    now: () => NOW,
    mayBeKnownElsewhere: () => false,
  };
  const enforcer = new Enforcer(parts as unknown as EnforcerParts);
  const access = createAccess(view as unknown as PermissionReplica, subjects, 10_000, () => NOW, GRANTS);
  return { graph, counts, login, enforcer, access };
}

function counting(graph: PermissionGraph, counts: { route: number; ownerOf: number }): void {
  for (const name of ["route", "ownerOf"] as const) {
    const real = graph[name].bind(graph) as (...args: unknown[]) => unknown;
    Object.assign(graph, {
      [name]: (...args: unknown[]) => {
        counts[name]++;
        return real(...args);
      },
    });
  }
}

function timed(work: () => void): number {
  const begun = performance.now();
  work();
  return performance.now() - begun;
}

describe("a token that names as many objects as it may", () => {
  const { graph, counts, login, enforcer, access } = world();
  const zero = () => Object.assign(counts, { route: 0, ownerOf: 0 });
  const admitted = (name: string) => {
    const found = login(name);
    assert.ok(found !== null && !(found instanceof Fault), found instanceof Fault ? found.message : "not known");
    return found;
  };

  it("is let in with them, its work done once for all its logins", () => {
    const { grants } = admitted("worst");
    assert.equal(grants, MAX_SCOPES + 1);
    for (let n = 0; n < 50; n++) admitted("worst");
    assert.deepEqual(counts, { route: MAX_SCOPES, ownerOf: MAX_SCOPES });
  });

  it("costs a login little more than its user's plain token does, also the first one after a change", () => {
    const change = (n: number) => graph.apply([project(`n${number(n)}x`, U("ann"))]);
    const costs = { plain: 0, worst: 0 };
    for (const name of ["plain", "worst"] as const) {
      admitted(name);
      for (let n = 0; n < 10; n++) {
        change(n);
        costs[name] += timed(() => admitted(name));
      }
    }
    // 256 routes each, and not 256 times 4,000 patterns at nine depths, which took seconds.
    assert.ok(costs.worst / 10 < costs.plain / 10 + 100, JSON.stringify(costs));
  });

  it("is refused before its patterns are built, where they would be more than a session may have", () => {
    zero();
    const found = login("unplaced");
    assert.ok(found instanceof Fault && found.code === "grants.too_many");
    assert.ok(counts.ownerOf <= 2, `${counts.ownerOf} objects were looked at`);
    for (let n = 0; n < 50; n++) login("unplaced");
    assert.ok(counts.ownerOf <= 2, "and once");
  });

  it("is judged once for all of its sessions, whatever a round lists", () => {
    const { session } = admitted("worst");
    zero();
    const names = Array.from(
      { length: 2_000 },
      (_, n): SessionName => ({ ...session, key: { ...session.key, sid: `s${n}` } }),
    );
    for (const name of names) assert.equal(enforcer.judge(name), "same");
    assert.deepEqual(counts, { route: 0, ownerOf: 0 });
    graph.apply([project("o0000x", U("ann"))]);
    for (const name of names) assert.notEqual(enforcer.judge(name), "same");
    assert.deepEqual(counts, { route: MAX_SCOPES, ownerOf: MAX_SCOPES });
    graph.apply([project("o0000x", U("bob"))]);
  });

  it("has its whoami answered, and its logs looked at, without the work being done again", () => {
    const key = admitted("worst").session.key;
    zero();
    for (let n = 0; n < 200; n++) {
      const identity = access.identity(key);
      assert.equal(identity && access.rights(identity).subscribe.length, MAX_SCOPES + 1);
    }
    const object = { uuid: "zzzzz-dz642-000000000000001", resource: "containers", owner: null } as const;
    for (let n = 0; n < 200; n++) assert.equal(access.refusal(key, object)?.code, "read.forbidden");
    assert.deepEqual(counts, { route: 0, ownerOf: 0 });
  });
});
