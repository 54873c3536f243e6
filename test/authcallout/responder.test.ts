/** The responder alone: whatever comes on the callout subject, it answers what nats-server asked and nothing else, and goes on. */
import assert from "node:assert/strict";
import { createCurve, createPair, Prefix } from "@nats-io/nkeys";
import { GuessLimit } from "../../authcallout/guess-limit.ts";
import { createSigner, createVerifier } from "../../authcallout/jwt.ts";
import { type Question, Responder, type ResponderParts } from "../../authcallout/responder.ts";
import { Sessions } from "../../authcallout/sessions.ts";
import { createSealer } from "../../authcallout/xkey.ts";
import { signStatement } from "../../core/edge-statement.ts";
import { PermissionGraph } from "../../core/graph/permission-graph.ts";
import { publicKeyBytes, seedBytes, signingKey, verifyingKey } from "../../core/nkey.ts";
import { RoleIndex } from "../../core/roles.ts";
import { subjectsOf } from "../../core/subjects.ts";
import { sha256 } from "../../core/token.ts";
import { TokenIndex } from "../../core/token-index.ts";
import { silentLog } from "../../runtime/log.ts";
import { until } from "../support/until.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const issuer = createPair(Prefix.Account);
const server = createPair(Prefix.Server);
const edge = createPair(Prefix.User);
const edgeKey = signingKey(seedBytes("user", text(edge.getSeed())));
const ours = createCurve();
const theirs = createCurve();
const theirSealer = createSealer(text(theirs.getSeed()));
const USER = "zzzzz-tpzed-000000000000001";
const TOKEN = "zzzzz-gj3su-000000000000001";
const NOW = 1_000_000_000_000;

function world(change: Partial<ResponderParts> = {}) {
  const results: string[] = [];
  const tokens = new TokenIndex({ clusterId: "zzzzz", systemRootToken: "", anonymousSecret: "" });
  const row = { id: 1, uuid: TOKEN, user_uuid: USER, scopes: ["all"], expires_at: null, refreshes_at: null };
  const hashes = { secret_sha256: sha256("secret"), salted_sha256: sha256("salted") };
  tokens.apply([{ kind: "token", uuid: TOKEN, row: { ...row, ...hashes } }]);
  const sessions = new Sessions();
  const responder = new Responder({
    keys: {
      signer: createSigner("account", text(issuer.getSeed())),
      sealer: createSealer(text(ours.getSeed())),
      verifier: createVerifier("server"),
      edge: verifyingKey(publicKeyBytes("user", edge.getPublicKey())),
    },
    view: {
      graph: new PermissionGraph({ clusterId: "zzzzz", roleGroupsVisibleToAll: true, audienceMin: 20 }),
      tokens,
      roles: new RoleIndex(new Map()),
      revision: { epoch: 1, sequence: 5 },
      age: () => 0,
    },
    options: {
      clusterId: "zzzzz",
      subjects: subjectsOf("zzzzz"),
      sessionTtl: 3_600_000,
      stalenessRefuse: 10_000,
      grantsMax: 100,
    },
    sessions,
    guesses: new GuessLimit(2),
    mayAnswer: () => true,
    announce: () => null,
    alias: () => null,
    maxPayload: () => 1024 * 1024,
    now: () => NOW,
    random: () => 0,
    log: silentLog(),
    onResult: (result, code) => results.push(code === "" ? result : `${result} ${code}`),
    ...change,
  });
  const ask = (question: Partial<Question>) => {
    const answers: Uint8Array[] = [];
    const respond = (body?: unknown) => answers.push(body as Uint8Array) > 0;
    const taken = responder.take({ data: new Uint8Array(), respond, ...question } as Question);
    return { taken, answers };
  };
  return { ask, results, sessions };
}

function question(
  claims: object = {},
  connect_opts: object = { pass: `v2/${TOKEN}/secret` },
  host = "10.0.0.1",
): Partial<Question> {
  const signed = createSigner("server", text(server.getSeed())).sign({
    sub: issuer.getPublicKey(),
    aud: "nats-authorization-request",
    exp: NOW / 1000 + 2,
    nats: {
      server_id: { id: server.getPublicKey(), name: "n1", xkey: theirs.getPublicKey() },
      user_nkey: "UABC",
      client_info: { id: 7, host },
      connect_opts,
      type: "authorization_request",
    },
    ...claims,
  });
  return sealed(Buffer.from(signed));
}

function sealed(plain: Buffer): Partial<Question> {
  const headers = { get: () => theirs.getPublicKey() } as unknown as NonNullable<Question["headers"]>;
  return { data: theirSealer.seal(plain, ours.getPublicKey()), headers };
}

/** The claims of an answer, as nats-server opens it. */
function opened(body: Uint8Array | undefined): { exp: number; nats: { jwt?: string; error?: string } } {
  const plain = theirSealer.open(body ?? new Uint8Array(), ours.getPublicKey());
  return JSON.parse(Buffer.from(plain?.toString().split(".")[1] ?? "", "base64url").toString());
}

describe("the responder", () => {
  it("lets a known token in, and knows the session before it has answered", () => {
    const { ask, results, sessions } = world();
    const { exp, nats } = opened(ask(question()).answers[0]);
    assert.ok(nats.jwt);
    assert.equal(exp, NOW / 1000 + 2, "the answer ends with the question");
    assert.equal(sessions.pending(NOW).length, 1);
    assert.deepEqual(results, ["admitted"]);
  });

  it("refuses by a signed answer, and after some guesses without looking", () => {
    const { ask, results } = world();
    const guess = question({}, { pass: `v2/${TOKEN}/wrong` });
    for (let i = 0; i < 3; i++) ask(guess);
    assert.equal(opened(ask(guess).answers[0]).nats.error, "login.guessing");
    assert.deepEqual(results.slice(0, 3), ["denied token.unknown", "denied token.unknown", "denied login.guessing"]);
    assert.ok(opened(ask(question({}, undefined, "10.0.0.2")).answers[0]).nats.jwt, "elsewhere nobody notices");
  });

  describe("over the edge", () => {
    const over = (address: string, auth_token: string, pass = signStatement(edgeKey, address, auth_token, NOW)) =>
      question({}, { auth_token, pass });
    const right = `v2/${TOKEN}/secret`;
    const wrong = `v2/${TOKEN}/wrong`;
    const codeOf = (answers: Uint8Array[]) => opened(answers[0]).nats.error ?? "admitted";

    it("counts guesses by the address that the edge states", () => {
      const { ask } = world();
      for (let i = 0; i < 3; i++) ask(over("203.0.113.7", wrong));
      assert.equal(codeOf(ask(over("203.0.113.7", right)).answers), "login.guessing");
      assert.equal(codeOf(ask(over("203.0.113.8", right)).answers), "admitted");
      assert.equal(codeOf(ask(question()).answers), "admitted", "nor does the edge's own address pay for it");
    });

    it("refuses a statement of another token, of another key, out of date, or out of thin air, and looks no further", () => {
      const { ask, results } = world();
      const another = signingKey(seedBytes("user", text(createPair(Prefix.User).getSeed())));
      const statements = [
        signStatement(edgeKey, "203.0.113.7", wrong, NOW),
        signStatement(another, "203.0.113.7", right, NOW),
        signStatement(edgeKey, "203.0.113.7", right, NOW - 60_000),
        signStatement(edgeKey, "203.0.113.7", right, NOW).replace(".7|", ".8|"),
        "edge1|203.0.113.7|9999999999|",
        "edge1|",
      ];
      for (const pass of statements) assert.equal(codeOf(ask(over("", right, pass)).answers), "login.statement", pass);
      assert.deepEqual(new Set(results), new Set(["denied login.statement"]));
      assert.equal(codeOf(ask(question()).answers), "admitted");
    });

    it("takes no statement for a token", () => {
      const { ask } = world();
      assert.equal(codeOf(ask(over("203.0.113.7", "")).answers), "token.malformed");
    });
  });

  it("takes no login while it may not answer", () => {
    const { ask, results } = world({ mayAnswer: () => false });
    assert.deepEqual(ask(question()), { taken: false, answers: [] });
    assert.deepEqual(results, []);
  });

  it("does not answer when its lease ran out while it waited", async () => {
    let held = true;
    const { ask, results } = world({
      mayAnswer: () => held,
      announce: async () => {
        held = false;
      },
    });
    const { answers } = ask(question());
    await until(() => results.length > 0, "its end");
    assert.deepEqual([answers.length, results], [0, ["ignored login.no_lease"]]);
  });

  it("refuses where the answer would be larger than nats-server takes", () => {
    const { ask } = world({ maxPayload: () => 500 });
    assert.equal(opened(ask(question()).answers[0]).nats.error, "answer.too_large");
  });

  it("stays silent on garbage of any size, and goes on", () => {
    const { ask, results } = world();
    const rubbish = [0, 1, 44, 45, 1_000, 1024 * 1024].map((size) => Buffer.alloc(size, "x"));
    const forged = createSigner("account", text(issuer.getSeed())).sign({
      sub: "x",
      nats: { type: "authorization_request" },
    });
    const questions = [
      ...rubbish.map((data) => ({ data })),
      ...rubbish.map((data) => ({ ...sealed(Buffer.alloc(0)), data })),
      ...rubbish.map((plain) => sealed(plain)),
      sealed(Buffer.from(forged)),
      question({ exp: NOW / 1000 - 1 }),
      question({ aud: "something else" }),
      question({ nats: null }),
      question({ nats: { type: "authorization_request" } }),
    ];
    for (const one of questions) assert.deepEqual(ask(one).answers, []);
    assert.deepEqual(new Set(results), new Set(["ignored callout.request"]));
    assert.equal(ask(question()).answers.length, 1);
  });
});
