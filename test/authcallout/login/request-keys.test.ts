import assert from "node:assert/strict";
import { createAccount, createCurve, createUser, fromCurveSeed } from "@nats-io/nkeys";
import { createVerifier } from "../../../authcallout/login/jwt.ts";
import { requestKeys } from "../../../authcallout/login/request-keys.ts";
import { createSealer } from "../../../authcallout/login/xkey.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const seeds = (make: () => { getSeed(): Uint8Array }) => [make(), make()].map((pair) => text(pair.getSeed()));
const issuers = seeds(createAccount);
const xkeys = seeds(createCurve);
const edges = [createUser(), createUser()].map((pair) => pair.getPublicKey());
const config = {
  issuerSeed: issuers.join(" "),
  xkeySeed: xkeys.join(" "),
  edgeKey: edges[0] ?? "",
  edgeKeyOld: edges[1] ?? "",
};

describe("the callout's keys while they are being changed", () => {
  it("go in pairs: what one curve key opens is signed by the issuer beside it", () => {
    const { pairs } = requestKeys(config);
    const server = createCurve();
    const sealer = createSealer(text(server.getSeed()));
    for (const [place, { signer, sealer: ours }] of pairs.entries()) {
      const sealed = sealer.seal(Buffer.from("question"), publicOf(xkeys[place] ?? ""));
      assert.equal(ours.open(sealed, server.getPublicKey())?.toString(), "question");
      assert.equal(pairs[1 - place]?.sealer.open(sealed, server.getPublicKey()), null);
      assert.equal(createVerifier("account").verify(signer.sign({ sub: "x", nats: {} }))?.iss, signer.publicKey);
    }
    assert.notEqual(pairs[0]?.signer.publicKey, pairs[1]?.signer.publicKey);
  });

  it("know one edge, or two", () => {
    assert.equal(requestKeys(config).edges.length, 2);
    assert.equal(requestKeys({ ...config, edgeKeyOld: "" }).edges.length, 1);
  });

  it("are refused where an issuer has no curve key beside it", () => {
    assert.throws(
      () => requestKeys({ ...config, xkeySeed: xkeys[0] ?? "" }),
      /callout\.issuerSeed .* and callout\.xkeySeed .*: one holds more seeds/,
    );
  });
});

function publicOf(seed: string): string {
  return fromCurveSeed(new TextEncoder().encode(seed)).getPublicKey();
}
