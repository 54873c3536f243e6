import { strict as assert } from "node:assert";
import fc from "fast-check";
import { connectOptions, sessionId, sessionKey, sessionToken } from "../../client/identity.ts";
import { parseToken, sessionTokenOf } from "../../core/token/token.ts";

const UUID = "zzzzz-gj3su-077z32aux8dg2s1";

describe("a session's identity", () => {
  it("takes the uuid out of a v2 token", async () => {
    assert.equal(await sessionToken(`v2/${UUID}/3kg6k6lzmp9kj5cpkcoxie963cmvjahbt2fod9zru30k1jqdmi`), UUID);
  });

  it("names a bare token by its hash, without showing it", async () => {
    // By Python: base64.b32encode(hashlib.sha256(b"hello").digest()).
    assert.equal(await sessionToken("hello"), "hftze3os7wcrq4jxihmvmlopcty");
  });

  it("names every token as the callout does", async () => {
    const secret = fc.stringMatching(/^[a-z0-9]{1,60}$/);
    const token = fc.oneof(
      secret,
      secret.map((text) => `v2/${UUID}/${text}`),
      secret.map((text) => `v2/${UUID}/${text}/zzzzz-dz642-000000000000001`),
    );
    await fc.assert(
      fc.asyncProperty(token, async (text) => {
        const parsed = parseToken(text);
        assert.ok(parsed);
        assert.equal(await sessionToken(text), sessionTokenOf(parsed));
      }),
      { numRuns: 50 },
    );
  });

  it("refuses what would be two subjects, or none", async () => {
    await assert.rejects(sessionToken(""), /empty/);
    await assert.rejects(sessionToken("v2/a.b.>/secret"), /no token uuid/);
    await assert.rejects(sessionKey("hello", "short"), /16 to 32/);
    await assert.rejects(sessionKey("hello", "has.a.dot.in.it.so.long"), /16 to 32/);
  });

  it("makes session ids of 22 letters and digits that do not repeat", () => {
    const ids = new Set(Array.from({ length: 500 }, () => sessionId()));
    assert.equal(ids.size, 500);
    for (const id of ids) assert.match(id, /^[A-Za-z0-9]{22}$/);
  });

  it("passes over random bytes that would favour some letters", () => {
    let next = 240;
    const id = sessionId((bytes) => bytes.fill(next++));
    // 240 to 247 map to 54 to 61; 248 to 255 are passed over.
    assert.equal(id, "2".repeat(22));
    next = 250;
    assert.equal(
      sessionId((bytes) => bytes.fill(next++ % 256)),
      "A".repeat(22),
    );
  });

  it("connects with the session id as user, the token as password, and an inbox of its own", async () => {
    const sid = "Session0Session0";
    const options = await connectOptions(`v2/${UUID}/s`, sid);
    assert.equal(options.user, sid);
    assert.equal(options.pass, `v2/${UUID}/s`);
    assert.equal(options.inboxPrefix, `_INBOX.${UUID}.${sid}`);
    assert.equal(options.maxReconnectAttempts, -1);
    assert.equal(options.ignoreAuthErrorAbort, true);
    assert.equal(options.ignoreClusterUpdates, true, "servers' own addresses lead past the edge");
  });
});
