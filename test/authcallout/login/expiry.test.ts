/** The clock at the edge of expiry: a session never outlives its token, and a token of no time left gives none. */
import assert from "node:assert/strict";
import { type AuthorizerOptions, authorize, type GraphView } from "../../../authcallout/login/authorizer.ts";
import { AHEAD_MS } from "../../../authcallout/sessions/endings.ts";
import { Fault } from "../../../core/errors.ts";
import { PermissionGraph } from "../../../core/graph/permission-graph.ts";
import type { TokenRow } from "../../../core/rows.ts";
import { RoleIndex } from "../../../core/session/roles.ts";
import { subjectsOf } from "../../../core/subjects.ts";
import { sha256 } from "../../../core/token/token.ts";
import { TokenIndex } from "../../../core/token/token-index.ts";

const TOKEN = "zzzzz-gj3su-000000000000001";
const SECOND = 1_700_000_000_000;
const S = SECOND / 1000;
const options: AuthorizerOptions = {
  clusterId: "zzzzz",
  subjects: subjectsOf("zzzzz"),
  sessionTtl: 3_600_000,
  stalenessRefuse: 10_000,
  grantsMax: 100,
};

/** Seconds at which the session ends, or the code of the refusal. */
function endOf(row: Partial<TokenRow>, now: number, random = 0): number | string {
  const tokens = new TokenIndex({ clusterId: "zzzzz", systemRootToken: "", anonymousSecret: "" });
  const hashes = { secret_sha256: sha256("secret"), salted_sha256: sha256("salted") };
  const user_uuid = "zzzzz-tpzed-000000000000001";
  const whole = { id: 1, uuid: TOKEN, user_uuid, scopes: ["all"], expires_at: null, refreshes_at: null };
  tokens.apply([{ kind: "token", uuid: TOKEN, row: { ...whole, ...hashes, ...row } }]);
  const view: GraphView = {
    graph: new PermissionGraph({ clusterId: "zzzzz", roleGroupsVisibleToAll: true, audienceMin: 20 }),
    tokens,
    roles: new RoleIndex(new Map()),
    revision: { epoch: 1, sequence: 1 },
    age: () => 0,
  };
  const request = { token: `v2/${TOKEN}/secret`, user: undefined };
  const outcome = authorize(request, view, null, options, now, random);
  assert.ok(outcome !== null);
  return outcome instanceof Fault ? outcome.code : outcome.admission.expires;
}

describe("a session's end", () => {
  const cases: [what: string, row: Partial<TokenRow>, now: number, end: number | string][] = [
    ["is its time at most", {}, SECOND, S + 3_599],
    ["is its token's, where that comes first", { expires_at: SECOND + 5_000 }, SECOND, S + 4],
    ["is the moment its token is to be asked about again", { refreshes_at: SECOND + 5_000 }, SECOND, S + 4],
    ["is the earlier of the two", { expires_at: SECOND + 9_000, refreshes_at: SECOND + 5_000 }, SECOND, S + 4],
    ["knows whole seconds only", { expires_at: SECOND + 5_999 }, SECOND, S + 4],
    ["is the next second at the earliest", { expires_at: SECOND + 2_000 }, SECOND + 749, S + 1],
    ["has come where it would be cut at once", { expires_at: SECOND + 2_000 }, SECOND + 750, "token.expired"],
    ["has come where its token gives it no second", { expires_at: SECOND + 1_999 }, SECOND, "token.expired"],
    ["has come where the token ends within this second", { expires_at: SECOND + 999 }, SECOND, "token.expired"],
    ["has come where the token ends with this millisecond", { expires_at: SECOND }, SECOND, "token.expired"],
    ["has come a millisecond later", { expires_at: SECOND }, SECOND + 1, "token.expired"],
    ["has come for what is to be asked about again", { refreshes_at: SECOND }, SECOND, "token.refresh"],
  ];
  for (const [what, row, now, end] of cases) it(what, () => assert.equal(endOf(row, now), end));

  /** When nats-server ends a session: it counts the seconds from the one that has begun, but starts counting now. */
  const natsEnd = (exp: number, now: number) => now + (exp - Math.floor(now / 1000)) * 1000;

  it("is before its token's at every millisecond around it, as nats-server counts, however late in its second", () => {
    for (let left = -3_000; left <= 5_000; left += 7) {
      for (const now of [SECOND, SECOND + 1, SECOND + 500, SECOND + 999]) {
        const end = endOf({ expires_at: now + left }, now);
        if (end === "token.expired") assert.ok(left < 2_000 + AHEAD_MS, `${left} ms left`);
        else assert.ok(natsEnd(Number(end), now) <= now + left && Number(end) * 1000 > now, `${left} ms left: ${end}`);
      }
    }
  });

  it("would outlive it by the token's own last whole second: negative control", () => {
    const [now, expires] = [SECOND + 999, SECOND + 5_000];
    assert.ok(natsEnd(Math.floor(expires / 1000), now) > expires);
  });

  it("comes earlier by chance, so that sessions made together do not end together", () => {
    assert.equal(endOf({}, SECOND, 0.5), S + 3_420 - 1);
  });
});
