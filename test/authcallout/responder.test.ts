/** The responder alone: whatever comes on the callout subject, it answers what nats-server asked and nothing else, and goes on. */
import assert from "node:assert/strict";
import { createCurve, createPair, Prefix } from "@nats-io/nkeys";
import { GuessLimit } from "../../authcallout/guess-limit.ts";
import { createSigner, createVerifier } from "../../authcallout/jwt.ts";
import { type Question, Responder, type ResponderParts } from "../../authcallout/responder.ts";
import { Sessions } from "../../authcallout/sessions.ts";
import { createSealer } from "../../authcallout/xkey.ts";
import { PermissionGraph } from "../../core/graph/permission-graph.ts";
import { RoleIndex } from "../../core/roles.ts";
import { subjectsOf } from "../../core/subjects.ts";
import { sha256 } from "../../core/token.ts";
import { TokenIndex } from "../../core/token-index.ts";
import { silentLog } from "../../runtime/log.ts";
import { until } from "../support/until.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const issuer = createPair(Prefix.Account);
const server = createPair(Prefix.Server);
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
    guesses: new GuessLimit(2, []),
    lookup: null,
    lookupPatience: 50,
    onOutage: "deny",
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

function question(claims: object = {}, pass = `v2/${TOKEN}/secret`, host = "10.0.0.1"): Partial<Question> {
  const signed = createSigner("server", text(server.getSeed())).sign({
    sub: issuer.getPublicKey(),
    aud: "nats-authorization-request",
    exp: NOW / 1000 + 2,
    nats: {
      server_id: { id: server.getPublicKey(), name: "n1", xkey: theirs.getPublicKey() },
      user_nkey: "UABC",
      client_info: { id: 7, host },
      connect_opts: { pass },
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
    const guess = question({}, `v2/${TOKEN}/wrong`);
    for (let i = 0; i < 3; i++) ask(guess);
    assert.equal(opened(ask(guess).answers[0]).nats.error, "login.guessing");
    assert.deepEqual(results.slice(0, 3), ["denied token.unknown", "denied token.unknown", "denied login.guessing"]);
    assert.ok(opened(ask(question({}, undefined, "10.0.0.2")).answers[0]).nats.jwt, "elsewhere nobody notices");
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
    assert.deepEqual(results, ["outage login.no_lease"]);
    const { error, jwt } = opened(answers[0]).nats;
    assert.deepEqual([error, jwt], ["login.no_lease", undefined]);
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
