import assert from "node:assert/strict";
import { createCurve, createPair, fromCurveSeed, fromPublic, Prefix } from "@nats-io/nkeys";
import { createSigner, createVerifier } from "../../../authcallout/login/jwt.ts";
import { createSealer } from "../../../authcallout/login/xkey.ts";
import { publicKeyBytes, publicKeyText, seedBytes } from "../../../core/nkey.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (value: string) => new TextEncoder().encode(value);

describe("nkeys", () => {
  for (const [type, prefix] of Object.entries({ account: Prefix.Account, server: Prefix.Server, user: Prefix.User })) {
    it(`of a ${type} read and write as the NATS library does`, () => {
      const pair = createPair(prefix);
      const key = pair.getPublicKey();
      const kind = type as "account" | "server" | "user";
      assert.equal(publicKeyText(kind, publicKeyBytes(kind, key)), key);
      assert.equal(seedBytes(kind, text(pair.getSeed())).length, 32);
    });
  }

  it("of another type, cut short, or with a typing error are refused", () => {
    const key = createPair(Prefix.Account).getPublicKey();
    assert.throws(() => publicKeyBytes("server", key));
    assert.throws(() => publicKeyBytes("account", key.slice(0, -1)));
    assert.throws(() =>
      publicKeyBytes(
        "account",
        key.replace(/.$/, (last) => (last === "A" ? "B" : "A")),
      ),
    );
    assert.throws(() => publicKeyBytes("account", ""));
    assert.throws(() => seedBytes("account", text(createCurve().getSeed())));
  });
});

describe("JWTs", () => {
  const pair = createPair(Prefix.Account);
  const signer = createSigner("account", text(pair.getSeed()));
  const claims = { sub: "UABC", aud: "APP", exp: 1, nats: { type: "user" } };

  it("carry a signature that the NATS library accepts", () => {
    const token = signer.sign(claims);
    const [head, body, signature] = token.split(".");
    assert.equal(signer.publicKey, pair.getPublicKey());
    const signed = bytes(`${head}.${body}`);
    assert.ok(fromPublic(pair.getPublicKey()).verify(signed, Buffer.from(signature ?? "", "base64url")));
  });

  it("are verified by their issuer, who must be of the right type", () => {
    const token = signer.sign(claims);
    assert.deepEqual(createVerifier("account").verify(token)?.nats, claims.nats);
    assert.equal(createVerifier("server").verify(token), null);
  });

  it("are nothing once a character is changed", () => {
    const verifier = createVerifier("account");
    const [head = "", body = "", signature = ""] = signer.sign(claims).split(".");
    const forged = Buffer.from(JSON.stringify({ ...claims, iss: signer.publicKey, aud: "SYS" })).toString("base64url");
    for (const token of [
      `${head}.${forged}.${signature}`,
      `${head}.${body}`,
      `${head}.${body}.${signature}.x`,
      "",
      "...",
    ]) {
      assert.equal(verifier.verify(token), null, token);
    }
  });
});

describe("sealed messages", () => {
  const ours = createCurve();
  const server = createCurve();
  const sealer = createSealer(text(ours.getSeed()));

  it("pass both ways between us and the NATS library", () => {
    const question = fromCurveSeed(server.getSeed()).seal(bytes("question"), ours.getPublicKey());
    assert.equal(sealer.open(question, server.getPublicKey())?.toString(), "question");
    const answer = sealer.seal(bytes("answer"), server.getPublicKey());
    assert.equal(text(server.open(answer, ours.getPublicKey()) ?? bytes("nothing")), "answer");
  });

  it("of another sender, changed, cut short or plain are not opened", () => {
    const sealed = server.seal(bytes("question"), ours.getPublicKey());
    assert.equal(sealer.open(sealed, createCurve().getPublicKey()), null);
    assert.equal(sealer.open(sealed, "nonsense"), null);
    for (let length = 0; length < sealed.length; length++) {
      assert.equal(sealer.open(sealed.slice(0, length), server.getPublicKey()), null);
    }
    const changed = Uint8Array.from(sealed);
    changed[40] = (changed[40] ?? 0) ^ 1;
    assert.equal(sealer.open(changed, server.getPublicKey()), null);
    assert.equal(sealer.open(bytes("eyJ plain text"), server.getPublicKey()), null);
  });
});
