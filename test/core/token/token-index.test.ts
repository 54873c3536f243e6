import assert from "node:assert/strict";
import { Fault } from "../../../core/errors.ts";
import type { ContainerRow, TokenRow } from "../../../core/rows.ts";
import {
  oidcSecret,
  type ParsedToken,
  parseToken,
  saltedSecret,
  sessionTokenOf,
  sha256,
} from "../../../core/token/token.ts";
import { type Identity, type TokenEnd, TokenIndex } from "../../../core/token/token-index.ts";

const NOW = 1_000_000;
const TOKEN = "zzzzz-gj3su-0123456789abcde";
const OTHER = "zzzzz-gj3su-otherotherother";
const USER = "zzzzz-tpzed-0123456789abcde";
const CONTAINER = "zzzzz-dz642-0123456789abcde";
const SECRET = "0verysecretsecret0";
const ROOT = "systemroottokensystemroottoken12";

function tokenRow(changes: Partial<TokenRow> = {}): TokenRow {
  return {
    id: 1,
    uuid: TOKEN,
    user_uuid: USER,
    scopes: ["all"],
    expires_at: null,
    refreshes_at: null,
    secret_sha256: sha256(SECRET),
    salted_sha256: sha256(saltedSecret(SECRET, "zzzzz")),
    ...changes,
  };
}

function containerRow(changes: Partial<ContainerRow> = {}): ContainerRow {
  return { id: 1, uuid: CONTAINER, state: "Running", auth_uuid: TOKEN, runtime_token_sha256: null, ...changes };
}

function indexWith(token: TokenRow | null, container: ContainerRow | null = null, anonymousSecret = ""): TokenIndex {
  const index = new TokenIndex({ clusterId: "zzzzz", systemRootToken: ROOT, anonymousSecret });
  index.apply([{ kind: "token", uuid: TOKEN, row: token }]);
  if (container) index.apply([{ kind: "container", uuid: container.uuid, row: container }]);
  return index;
}

function identify(index: TokenIndex, text: string, now = NOW): Identity | string {
  const parsed = parseToken(text);
  assert.ok(parsed, text);
  const found = index.identify(parsed, now);
  return found instanceof Fault ? found.code : found;
}

function userOf(index: TokenIndex, text: string, now = NOW): string {
  const found = identify(index, text, now);
  return typeof found === "string" ? found : found.user;
}

describe("the token index", () => {
  const v2 = `v2/${TOKEN}/${SECRET}`;

  it("knows a token in its v2, bare and salted forms", () => {
    const index = indexWith(tokenRow());
    assert.equal(userOf(index, v2), USER);
    assert.equal(userOf(index, SECRET), USER);
    assert.equal(userOf(index, `v2/${TOKEN}/${saltedSecret(SECRET, "zzzzz")}`), USER);
  });

  it("knows an OIDC token by the form in which Arvados stores it", () => {
    const stored = oidcSecret("oidc.access.token", ROOT);
    const index = indexWith(tokenRow({ secret_sha256: sha256(stored) }));
    assert.equal(userOf(index, "oidc.access.token"), USER);
  });

  it("refuses a token with too many scopes, and ends its session", () => {
    const index = indexWith(tokenRow({ scopes: [], scopes_over: true }));
    for (const text of [v2, SECRET]) assert.equal(identify(index, text), "token.scopes");
    assert.equal(index.bySessionToken(TOKEN, NOW), null);
    assert.equal(index.endOf(TOKEN, NOW), "scopes");
    assert.equal(index.overScopes, 1);
    index.apply([{ kind: "token", uuid: TOKEN, row: tokenRow() }]);
    assert.equal(userOf(index, v2), USER);
    assert.equal(index.overScopes, 0);
  });

  it("accepts no token for a row without a secret", () => {
    const index = indexWith(tokenRow({ secret_sha256: "", salted_sha256: "" }));
    assert.equal(userOf(index, v2), "token.unknown");
    assert.equal(userOf(index, "x"), "token.unknown");
  });

  it("allows no log to a token that too many containers name", () => {
    const index = indexWith(tokenRow());
    const uuids = Array.from({ length: 65 }, (_, n) => `zzzzz-dz642-${String(n).padStart(15, "0")}`);
    const containersOf = () => (identify(index, v2) as Identity).containers.length;
    const add = (uuid: string) => index.apply([{ kind: "container", uuid, row: containerRow({ uuid }) }]);
    for (const uuid of uuids.slice(1)) add(uuid);
    assert.equal(containersOf(), 64);
    add(uuids[0] as string);
    assert.equal(containersOf(), 0);
  });

  it("refuses a wrong secret, another cluster's salt and an unknown token", () => {
    const index = indexWith(tokenRow());
    assert.equal(userOf(index, `v2/${TOKEN}/wrong`), "token.unknown");
    assert.equal(userOf(index, `v2/${TOKEN}/${saltedSecret(SECRET, "yyyyy")}`), "token.unknown");
    assert.equal(userOf(index, `v2/${OTHER}/${SECRET}`), "token.unknown");
    assert.equal(userOf(index, sha256(SECRET)), "token.unknown");
  });

  it("refuses a token from the moment it expires or must be refreshed, and says which", () => {
    for (const [end, code] of [
      ["expires_at", "token.expired"],
      ["refreshes_at", "token.refresh"],
    ] as const) {
      const index = indexWith(tokenRow({ [end]: NOW }));
      assert.equal(userOf(index, v2, NOW - 1), USER);
      assert.equal(userOf(index, v2, NOW), code);
    }
  });

  it("forgets a token whose row is deleted, in every form", () => {
    const index = indexWith(tokenRow());
    index.apply([{ kind: "token", uuid: TOKEN, row: null }]);
    assert.equal(userOf(index, v2), "token.unknown");
    assert.equal(userOf(index, SECRET), "token.unknown");
  });

  it("accepts the system root token as root, and only all of it", () => {
    const index = indexWith(null);
    assert.equal(userOf(index, ROOT), "zzzzz-tpzed-000000000000000");
    assert.equal(userOf(index, ROOT.slice(1)), "token.unknown");
  });

  it("has no root if the root token is not set", () => {
    const index = new TokenIndex({ clusterId: "zzzzz", systemRootToken: "", anonymousSecret: "" });
    assert.equal(userOf(index, "anything"), "token.unknown");
  });

  describe("anonymous access", () => {
    const anonymous = "zzzzz-gj3su-anonymouspublic";

    it("works bare, as v2 and salted, and gives scope GET only", () => {
      const index = indexWith(null, null, "anon");
      for (const text of ["anon", `v2/${anonymous}/anon`, `v2/${anonymous}/${saltedSecret("anon", "zzzzz")}`]) {
        const found = identify(index, text);
        assert.ok(typeof found !== "string");
        assert.equal(found.user, "zzzzz-tpzed-anonymouspublic");
        assert.deepEqual(found.scopes, ["GET /"]);
      }
    });

    it("is off while the setting is empty, whatever HMAC of the empty key is sent", () => {
      const index = indexWith(null);
      assert.equal(userOf(index, `v2/${anonymous}/${saltedSecret("", "zzzzz")}`), "token.unknown");
    });
  });

  describe("a token with a container behind it", () => {
    const suffixed = `${v2}/${CONTAINER}`;

    it("is good while that container is Locked or Running with this token", () => {
      for (const state of ["Locked", "Running"]) {
        assert.equal(userOf(indexWith(tokenRow(), containerRow({ state })), suffixed), USER);
      }
    });

    it("is refused in every other state, for another token's container, and beside a runtime token", () => {
      for (const state of ["Queued", "Complete", "Cancelled"]) {
        assert.equal(userOf(indexWith(tokenRow(), containerRow({ state })), suffixed), "token.container");
      }
      assert.equal(userOf(indexWith(tokenRow(), containerRow({ auth_uuid: OTHER })), suffixed), "token.container");
      const runtime = containerRow({ runtime_token_sha256: sha256("v2/other/token") });
      assert.equal(userOf(indexWith(tokenRow(), runtime), suffixed), "token.container");
    });

    it("is accepted as the container's runtime token", () => {
      const runtime = containerRow({ auth_uuid: null, runtime_token_sha256: sha256(v2) });
      assert.equal(userOf(indexWith(tokenRow(), runtime), suffixed), USER);
    });

    it("may log for the container that was given it, if sent with the container, and only while it runs", () => {
      const runtime = { auth_uuid: null, runtime_token_sha256: sha256(v2) };
      const index = indexWith(tokenRow(), containerRow(runtime));
      const containersOf = (text: string) => {
        const found = identify(index, text);
        return typeof found === "string" ? found : found.containers;
      };
      assert.deepEqual([containersOf(suffixed), containersOf(v2), containersOf(SECRET)], [[CONTAINER], [], []]);
      assert.deepEqual(containersOf(`${v2}/zzzzz-dz642-another00000000`), [], "one that nobody has");
      for (const state of ["Queued", "Complete"]) {
        index.apply([{ kind: "container", uuid: CONTAINER, row: containerRow({ ...runtime, state }) }]);
        assert.equal(containersOf(suffixed), "token.container");
      }
    });

    it("may log for its own container only, and only while it runs", () => {
      const index = indexWith(tokenRow(), containerRow());
      const running = identify(index, suffixed);
      assert.ok(typeof running !== "string");
      assert.deepEqual(running.containers, [CONTAINER]);
      const changedKeys = index.apply([
        { kind: "container", uuid: CONTAINER, row: containerRow({ state: "Complete", auth_uuid: null }) },
      ]);
      assert.ok(changedKeys.has(TOKEN) && changedKeys.has(CONTAINER), "its sessions are looked at again");
      const done = identify(index, v2);
      assert.ok(typeof done !== "string");
      assert.deepEqual(done.containers, []);
    });
  });

  it("finds a session's identity by its session token, in every form", () => {
    const index = indexWith(tokenRow(), containerRow(), "anon");
    for (const text of [v2, SECRET, `${v2}/${CONTAINER}`, ROOT, "anon"]) {
      const parsed = parseToken(text);
      assert.ok(parsed);
      const found = index.identify(parsed, NOW);
      assert.ok(!(found instanceof Fault));
      assert.deepEqual(index.bySessionToken(sessionTokenOf(parsed), NOW), found, text);
    }
    assert.equal(index.bySessionToken(OTHER, NOW), null);
  });

  it("refuses the token of a deleted user", () => {
    let isThere = true;
    const index = new TokenIndex({
      clusterId: "zzzzz",
      systemRootToken: ROOT,
      anonymousSecret: "",
      isUser: (uuid) => isThere && uuid === USER,
    });
    index.apply([{ kind: "token", uuid: TOKEN, row: tokenRow() }]);
    assert.equal(userOf(index, v2), USER);
    isThere = false;
    assert.equal(userOf(index, v2), "token.user");
    assert.equal(index.bySessionToken(TOKEN, NOW), null);
  });

  const ends: [end: TokenEnd, token: TokenRow | null, container?: Partial<ContainerRow>][] = [
    ["expired", tokenRow({ expires_at: NOW, refreshes_at: NOW })],
    ["refresh", tokenRow({ refreshes_at: NOW })],
    ["unknown", null],
    ["container", tokenRow(), { state: "Complete" }],
    ["container", null, { auth_uuid: OTHER }],
  ];
  for (const [end, token, container] of ends) {
    it(`says why a session has no identity: ${end}`, () => {
      const index = indexWith(token, container ? containerRow(container) : null);
      const key = container ? sessionTokenOf(parseToken(`${v2}/${CONTAINER}`) as ParsedToken) : TOKEN;
      assert.equal(index.bySessionToken(key, NOW), null);
      assert.equal(index.endOf(key, NOW), end);
    });
  }

  describe("proves that a session's secret is still its token's,", () => {
    const forms: [form: string, text: string, secret: string][] = [
      ["v2", v2, SECRET],
      ["bare", SECRET, SECRET],
      ["salted", `v2/${TOKEN}/${saltedSecret(SECRET, "zzzzz")}`, SECRET],
      ["an OIDC token", "oidc.access.token", oidcSecret("oidc.access.token", ROOT)],
      ["with a container", `${v2}/${CONTAINER}`, SECRET],
    ];
    const rowOf = (secret: string) =>
      tokenRow({ secret_sha256: sha256(secret), salted_sha256: sha256(saltedSecret(secret, "zzzzz")) });
    for (const [form, text, secret] of forms) {
      it(`where it is ${form}`, () => {
        const index = indexWith(rowOf(secret));
        const token = parseToken(text) as ParsedToken;
        const [key, proof] = [sessionTokenOf(token), index.proofOf(token)];
        const isProven = () => index.isProven(key, proof);
        index.apply([{ kind: "token", uuid: TOKEN, row: rowOf(secret) }]);
        assert.ok(isProven());
        assert.ok(![text, secret].some((hidden) => proof.includes(hidden)));
        index.apply([{ kind: "token", uuid: TOKEN, row: rowOf("another") }]);
        // A bare token is found by its secret alone: no row has it, which `bySessionToken` says.
        if (form === "bare" || form === "an OIDC token") assert.equal(index.bySessionToken(key, NOW), null);
        else assert.ok(!isProven());
        index.apply([{ kind: "token", uuid: TOKEN, row: null }]);
        assert.ok(isProven(), "no row stands, so there is nothing to compare it with");
      });
    }

    it("where an OIDC token's row is known already", () => {
      const aliases = new Map([[sessionTokenOf({ form: "v1", secret: "o" }), { session: "", token: TOKEN }]]);
      const index = new TokenIndex({ clusterId: "zzzzz", systemRootToken: ROOT, anonymousSecret: "", aliases });
      const [key, proof] = [sessionTokenOf({ form: "v1", secret: "o" }), index.proofOf({ form: "v1", secret: "o" })];
      index.apply([{ kind: "token", uuid: TOKEN, row: rowOf(oidcSecret("o", ROOT)) }]);
      assert.ok(index.isProven(key, proof));
      index.apply([{ kind: "token", uuid: TOKEN, row: rowOf("another") }]);
      assert.ok(!index.isProven(key, proof));
    });

    it("where it is the anonymous token of the settings, or one that a container was given", () => {
      const uuid = "zzzzz-gj3su-anonymouspublic";
      const anonymous = { form: "v2", uuid, secret: "anon", container: null } as const;
      for (const [secret, isKept] of [
        ["anon", true],
        ["other", false],
      ] as const) {
        const index = indexWith(null, null, secret);
        assert.equal(index.isProven(uuid, index.proofOf(anonymous)), isKept);
        const salted = { ...anonymous, secret: saltedSecret("anon", "zzzzz") };
        assert.equal(index.isProven(uuid, index.proofOf(salted)), isKept);
      }
      const given = parseToken(`${v2}/${CONTAINER}`) as ParsedToken;
      for (const [plain, isKept] of [
        [v2, true],
        [`v2/${OTHER}/x`, false],
      ] as const) {
        const index = indexWith(tokenRow(), containerRow({ auth_uuid: null, runtime_token_sha256: sha256(plain) }));
        assert.equal(index.isProven(sessionTokenOf(given), index.proofOf(given)), isKept);
      }
    });
  });

  it("finds no identity for a session whose token has ended", () => {
    const index = indexWith(tokenRow({ expires_at: NOW }));
    assert.equal(index.bySessionToken(TOKEN, NOW), null);
    assert.equal(index.bySessionToken(sessionTokenOf({ form: "v1", secret: SECRET }), NOW), null);
  });
});
