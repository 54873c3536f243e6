/** Garbage on the callout subject: nobody but nats-server can put anything there, and what came all the same would do nothing. */
import assert from "node:assert/strict";
import { createCurve, createPair, Prefix } from "@nats-io/nkeys";
import { createSigner, type Signer } from "../../../authcallout/login/jwt.ts";
import type { Question } from "../../../authcallout/login/responder.ts";
import { mulberry32 } from "../../../dev/testing/random.ts";
import {
  claimsOf,
  from,
  NOW,
  opened,
  PUBLIC,
  question,
  SEEDS,
  sealed,
  seedOf,
  signed,
  world,
} from "../../support/worlds/login-question.ts";

const random = mulberry32(7);
const noise = (size: number) => Buffer.from(Array.from({ length: size }, () => Math.floor(random() * 256)));
const sizes = [0, 1, 4, 43, 44, 45, 1_000, 1024 * 1024];
const stranger = createSigner("server", seedOf(createPair(Prefix.Server)));
const signedBy = (signer: Signer) => sealed(Buffer.from(signer.sign(claimsOf())));
/** A question that would be answered, as it came, and opened. */
const whole = question();
const asSealed = (data: Uint8Array) => from(PUBLIC.theirs, data);
const data = whole.data as Uint8Array;
const plain = signed();
const [head, claims] = plain.toString().split(".");
const parts = Array.from({ length: 40 }, (_, part) => part / 40);
const cut = (bytes: Uint8Array, part: number) => Buffer.from(bytes.subarray(0, Math.floor(bytes.length * part)));

function withOneBitTurned(bytes: Uint8Array): Buffer {
  const turned = Buffer.from(bytes);
  const place = Math.floor(random() * turned.length);
  turned[place] = (turned[place] ?? 0) ^ (1 << Math.floor(random() * 8));
  return turned;
}

const rows: [what: string, questions: Partial<Question>[]][] = [
  ["that is empty", [{ data: noise(0) }, asSealed(noise(0)), sealed(noise(0))]],
  ["of random bytes, and nothing said of who sealed them", sizes.map((size) => ({ data: noise(size) }))],
  ["of random bytes, said to be sealed", sizes.map((size) => asSealed(noise(size)))],
  [
    "of random bytes under the mark of a seal",
    sizes.map((size) => asSealed(Buffer.concat([Buffer.from("xkv1"), noise(size)]))),
  ],
  ["of random bytes, truly sealed", sizes.map((size) => sealed(noise(size)))],
  ["of one letter, truly sealed", sizes.map((size) => sealed(Buffer.alloc(size, ".")))],
  ["that is a question, not sealed", [{ data: plain }, asSealed(plain)]],
  ["that is sealed for another", [createCurve().getPublicKey(), PUBLIC.theirs].map((key) => sealed(plain, key))],
  ["that is sealed by another than it says", [from(createCurve().getPublicKey(), data)]],
  ["that names no key as its sealer", ["", "X", "x".repeat(56), PUBLIC.issuer].map((key) => from(key, data))],
  ["that is cut short, as sealed", parts.map((part) => asSealed(cut(data, part)))],
  ["that is cut short, before it was sealed", parts.map((part) => sealed(cut(plain, part)))],
  ["with one bit turned", parts.map(() => asSealed(withOneBitTurned(data)))],
  ["that another server has signed", [signedBy(stranger)]],
  ["that an account has signed", [signedBy(createSigner("account", SEEDS.issuer))]],
  [
    "that nobody has signed",
    [`${head}.${claims}.`, `${head}.${claims}`, `${head}.${claims}.x.y`, ".", "..", "..."].map((one) =>
      sealed(Buffer.from(one)),
    ),
  ],
  ["that is too old", [NOW / 1000 - 1, NOW / 1000, undefined].map((exp) => question({ exp }))],
  [
    "that is for others, or none",
    [{ aud: "something else" }, { nats: null }, { nats: [] }, { nats: { type: "authorization_request" } }].map((one) =>
      question(one),
    ),
  ],
];

describe("the responder, on garbage", () => {
  for (const [what, questions] of rows) {
    it(`${what}, is silent, counts it, lets nobody in, and goes on`, () => {
      const { ask, results, sessions } = world();
      for (const one of questions) assert.deepEqual(ask(one), { taken: true, answers: [] });
      assert.deepEqual(
        results,
        questions.map(() => "ignored callout.request"),
      );
      assert.equal(sessions.size, 0);
      assert.ok(opened(ask(whole).answers[0]).nats.jwt);
    });
  }

  it("in CONNECT takes what is no text for nothing", () => {
    const { ask, results } = world();
    const passes = [null, 7, ["x"], { x: 1 }, "\u0000", "x".repeat(5_000)];
    for (const [place, pass] of passes.entries()) ask(question({}, { pass, user: pass }, `10.0.0.${place}`));
    assert.deepEqual(
      results,
      passes.map(() => "denied token.malformed"),
    );
  });
});
