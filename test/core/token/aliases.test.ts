/** Sessions whose token is not to be told from their name, and those that Arvados' API alone speaks for. */
import assert from "node:assert/strict";
import { formatBarrierEntry, parseBarrierEntry } from "../../../core/barrier/entry.ts";
import { Fault } from "../../../core/errors.ts";
import type { ContainerRow, TokenRow } from "../../../core/rows.ts";
import { Aliases, aliasOf, type Voucher } from "../../../core/token/aliases.ts";
import { parseToken, sessionTokenOf, sha256 } from "../../../core/token/token.ts";
import { TokenIndex } from "../../../core/token/token-index.ts";

const NOW = 1_000_000;
const TOKEN = "yyyyy-gj3su-000000000000001";
const CONTAINER = "zzzzz-dz642-000000000000001";
const voucher: Voucher = { token: TOKEN, user: "yyyyy-tpzed-000000000000001", scopes: ["GET /"], until: NOW + 60_000 };
const row: TokenRow = {
  id: 1,
  uuid: TOKEN,
  user_uuid: "zzzzz-tpzed-000000000000002",
  scopes: ["all"],
  expires_at: null,
  refreshes_at: null,
  secret_sha256: sha256("s"),
  salted_sha256: sha256("salted"),
};

function world() {
  const aliases = new Aliases();
  const index = new TokenIndex({ clusterId: "zzzzz", systemRootToken: "", anonymousSecret: "", aliases });
  const set = (value: TokenRow | null) =>
    aliases.forgetVouchersOf(index.apply([{ kind: "token", uuid: TOKEN, row: value }]));
  const vouched = (text: string, now = NOW) => {
    const token = parseToken(text);
    assert.ok(token);
    return index.identifyVouched(token, voucher, now);
  };
  const behind = (text: string, now = NOW) => {
    const token = parseToken(text);
    assert.ok(token);
    return index.bySessionToken(sessionTokenOf(token), now);
  };
  /** As a login does it: what is decided is what others are told. */
  const admit = (text: string) => {
    const identity = vouched(text);
    assert.ok(!(identity instanceof Fault));
    aliases.set(aliasOf(identity));
    return identity;
  };
  return { aliases, index, set, vouched, behind, admit };
}

describe("a session with a voucher", () => {
  for (const text of [`v2/${TOKEN}/s`, "oidc.access.token", `v2/${TOKEN}/s/${CONTAINER}`]) {
    it(`is known to every replica by its name until the voucher expires: ${text}`, () => {
      const { admit, behind } = world();
      const identity = admit(text);
      assert.deepEqual(behind(text, voucher.until - 1), identity);
      assert.equal(behind(text, voucher.until), null);
    });
  }

  it("has no identity if its token has too many scopes", () => {
    const { aliases, index, behind } = world();
    const token = parseToken(`v2/${TOKEN}/s`);
    assert.ok(token);
    const over = { ...voucher, scopes: [], scopes_over: true } as const;
    const refused = index.identifyVouched(token, over, NOW);
    assert.ok(refused instanceof Fault && refused.code === "token.scopes");
    aliases.set({ session: sessionTokenOf(token), token: TOKEN, voucher: over });
    assert.equal(behind(`v2/${TOKEN}/s`), null);
  });

  it("has the voucher's user, scopes and end, and may log for no container", () => {
    const { user, token, scopes, expiresAt, containers, vouched } = world().admit(`v2/${TOKEN}/s`);
    assert.deepEqual({ user, token, scopes, until: expiresAt }, voucher);
    assert.deepEqual([containers, vouched], [[], true]);
  });

  it("has no identity once a row of its token was added or deleted, or the graph was read again", () => {
    const { admit, behind, set, aliases } = world();
    const text = "oidc.access.token";
    admit(text);
    set(row);
    set(null);
    assert.equal(behind(text), null, "the row that went took it along");
    admit(text);
    aliases.forgetVouchersOf(new Set(["yyyyy-gj3su-000000000000009"]));
    assert.ok(behind(text), "negative control: another's row");
    aliases.forgetVouchers();
    assert.equal(behind(text), null);
  });

  it("is decided by the token's row if there is one", () => {
    const { set, vouched, behind, admit } = world();
    admit(`v2/${TOKEN}/s`);
    set(row);
    const refused = vouched(`v2/${TOKEN}/s`);
    assert.ok(refused instanceof Fault && refused.code === "lookup.unavailable");
    const known = behind(`v2/${TOKEN}/s`);
    assert.deepEqual([known?.user, known?.vouched], [row.user_uuid, false]);
  });

  it("ends with the container in its name", () => {
    const { index, vouched, behind, admit } = world();
    const text = `v2/${TOKEN}/s/${CONTAINER}`;
    admit(text);
    const container: ContainerRow = {
      id: 1,
      uuid: CONTAINER,
      state: "Complete",
      auth_uuid: null,
      runtime_token_sha256: null,
    };
    index.apply([{ kind: "container", uuid: CONTAINER, row: container }]);
    assert.equal(behind(text), null);
    const refused = vouched(text);
    assert.ok(refused instanceof Fault && refused.code === "token.container");
  });

  it("does not begin with an expired voucher", () => {
    const refused = world().vouched(`v2/${TOKEN}/s`, voucher.until);
    assert.ok(refused instanceof Fault && refused.code === "token.expired");
  });
});

describe("an alias in BARRIER", () => {
  const entry = { kind: "alias", session: "habc", token: TOKEN } as const;
  it("is read as it was written, with and without a voucher", () => {
    for (const one of [entry, { ...entry, voucher }]) assert.deepEqual(parseBarrierEntry(formatBarrierEntry(one)), one);
  });
  it("is ignored with a malformed voucher or one of another token: half of it would mean something else", () => {
    const bad = [null, {}, { ...voucher, until: "x" }, { ...voucher, scopes: [1] }, { ...voucher, token: "other" }];
    for (const one of bad) assert.equal(parseBarrierEntry(JSON.stringify({ ...entry, voucher: one })), null);
  });
});

describe("aliases", () => {
  it("stay when the token's row changes: the row decides", () => {
    const aliases = new Aliases();
    aliases.set({ session: "h1", token: TOKEN });
    aliases.forgetVouchersOf(new Set([TOKEN]));
    aliases.forgetVouchers();
    assert.equal(aliases.get("h1")?.token, TOKEN);
  });
  it("are bounded in number", () => {
    const aliases = new Aliases();
    for (let i = 0; i <= 100_000; i++) aliases.set({ session: `h${i}`, token: TOKEN, voucher });
    assert.equal(aliases.get("h0"), undefined);
    assert.ok(aliases.get("h100000"));
  });
});
