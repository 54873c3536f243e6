import assert from "node:assert/strict";
import {
  bareSessionToken,
  oidcSecret,
  parseToken,
  saltedSecret,
  sessionTokenOf,
  sha256,
} from "../../../core/token/token.ts";

const UUID = "zzzzz-gj3su-0123456789abcde";
const CONTAINER = "zzzzz-dz642-0123456789abcde";

describe("tokens as text", () => {
  it("salts a secret as Arvados does", () => {
    assert.equal(saltedSecret("secretsecret", "zzzzz"), "473d881d6d232546b0a2d256ca0cab784cd026bc");
  });

  it("finds the form in which Arvados stores an OIDC token", () => {
    assert.equal(
      oidcSecret("oidc.access.token", "systemroottokensystemroottoken12"),
      "b5a96672544d2993155a9c03bae0ea801c05400bbe7298229b4b7c6c9cbe5b89",
    );
  });

  it("reads the three forms", () => {
    assert.deepEqual(parseToken("abc123"), { form: "v1", secret: "abc123" });
    assert.deepEqual(parseToken(`v2/${UUID}/s3cret`), { form: "v2", uuid: UUID, secret: "s3cret", container: null });
    assert.deepEqual(parseToken(`v2/${UUID}/s3cret/${CONTAINER}`), {
      form: "v2",
      uuid: UUID,
      secret: "s3cret",
      container: CONTAINER,
    });
  });

  for (const [what, text] of Object.entries({
    "an empty text": "",
    "a v2 token without secret": `v2/${UUID}/`,
    "a v2 token with a foreign uuid": "v2/nonsense/secret",
    "a container that is no uuid": `v2/${UUID}/secret/nonsense`,
    "a fifth field": `v2/${UUID}/secret/${CONTAINER}/x`,
    "a token with a space in it": "abc def",
    "a text longer than any token": "x".repeat(5000),
  })) {
    it(`rejects ${what}`, () => assert.equal(parseToken(text), null));
  }

  it("gives a session token that its holder can compute, and that is one subject token", () => {
    assert.equal(sessionTokenOf({ form: "v2", uuid: UUID, secret: "s", container: null }), UUID);
    assert.equal(
      sessionTokenOf({ form: "v2", uuid: UUID, secret: "s", container: CONTAINER }),
      `c_${UUID}_${CONTAINER}`,
    );
    const bare = sessionTokenOf({ form: "v1", secret: "abc" });
    // RFC 4648 base32 of the first 16.25 bytes of SHA-256("abc") = ba7816bf 8f01cfea 414140de 5dae2223 b0...
    assert.equal(bare, "hxj4bnp4pahh6uqkbidpf3lrceo");
    assert.equal(bare, bareSessionToken(sha256("abc")));
    assert.match(bare, /^h[a-z2-7]{26}$/);
  });
});
