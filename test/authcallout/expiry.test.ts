/** The clock at the edge of expiry: a session never outlives its token, and a token of no time left gives none. */
import assert from "node:assert/strict";
import { type AuthorizerOptions, authorize, type GraphView } from "../../authcallout/authorizer.ts";
import { Fault } from "../../core/errors.ts";
import { PermissionGraph } from "../../core/graph/permission-graph.ts";
import { RoleIndex } from "../../core/roles.ts";
import type { TokenRow } from "../../core/rows.ts";
import { subjectsOf } from "../../core/subjects.ts";
import { sha256 } from "../../core/token.ts";
import { TokenIndex } from "../../core/token-index.ts";

const TOKEN = "zzzzz-gj3su-000000000000001";
const SECOND = 1_700_000_000_000;
const HOUR = 3_600_000;
const options: AuthorizerOptions = {
  clusterId: "zzzzz",
  subjects: subjectsOf("zzzzz"),
  sessionTtl: HOUR,
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
    ["is its time at most", {}, SECOND, (SECOND + HOUR) / 1000],
    ["is its token's, where that comes first", { expires_at: SECOND + 5_000 }, SECOND, (SECOND + 5_000) / 1000],
    [
      "is the moment its token is to be asked about again",
      { refreshes_at: SECOND + 5_000 },
      SECOND,
      (SECOND + 5_000) / 1000,
    ],
    [
      "is the earlier of the two",
      { expires_at: SECOND + 9_000, refreshes_at: SECOND + 5_000 },
      SECOND,
      (SECOND + 5_000) / 1000,
    ],
    ["is the whole second before its token's", { expires_at: SECOND + 5_999 }, SECOND, (SECOND + 5_000) / 1000],
    ["is never the second after it", { expires_at: SECOND + 1_001 }, SECOND + 999, (SECOND + 1_000) / 1000],
    ["has not come while a millisecond is left", { expires_at: SECOND + 1_000 }, SECOND + 999, (SECOND + 1_000) / 1000],
    ["has come where the token ends within this second", { expires_at: SECOND + 999 }, SECOND, "token.expired"],
    ["has come where the token ends with this millisecond", { expires_at: SECOND }, SECOND, "token.expired"],
    ["has come a millisecond later", { expires_at: SECOND }, SECOND + 1, "token.expired"],
    ["has come for what is to be asked about again", { refreshes_at: SECOND }, SECOND, "token.refresh"],
  ];
  for (const [what, row, now, end] of cases) it(what, () => assert.equal(endOf(row, now), end));

  it("is before its token's at every millisecond around it, and behind this moment", () => {
    for (let left = -3_000; left <= 3_000; left += 7) {
      for (const now of [SECOND, SECOND + 1, SECOND + 500, SECOND + 999]) {
        const end = endOf({ expires_at: now + left }, now);
        if (end === "token.expired") assert.ok(left < 1_000, `${left} ms left`);
        else assert.ok(Number(end) * 1000 <= now + left && Number(end) * 1000 > now, `${left} ms left: ${end}`);
      }
    }
  });

  it("comes earlier by chance, so that sessions made together do not end together", () => {
    assert.equal(endOf({}, SECOND, 0.5), (SECOND + HOUR * 0.95) / 1000);
  });
});
