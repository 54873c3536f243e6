/** The responder alone: it answers what nats-server asked, by the rules, and waits for nothing it need not wait for. */
import assert from "node:assert/strict";
import { createPair, Prefix } from "@nats-io/nkeys";
import type { Question, ResponderParts } from "../../../authcallout/login/responder.ts";
import { type Fault, fault } from "../../../core/errors.ts";
import { seedBytes, signingKey } from "../../../core/nkey.ts";
import { signStatement } from "../../../core/session/edge-statement.ts";
import type { Voucher } from "../../../core/token/aliases.ts";
import type { Identity } from "../../../core/token/token-index.ts";
import { until } from "../../../dev/testing/until.ts";
import { deferred } from "../../../runtime/deferred.ts";
import {
  claimsOf,
  NOW,
  opened,
  payloadOf,
  question,
  SEEDS,
  seedOf,
  world,
} from "../../support/worlds/login-question.ts";
import { INACTIVE, TOKEN, USER } from "../../support/worlds/responder.ts";

const edgeKey = signingKey(seedBytes("user", SEEDS.edge));
const REMOTE = "yyyyy-gj3su-000000000000001";

describe("the responder", () => {
  it("lets a known token in, and knows the session before it has answered", () => {
    const { ask, results, sessions } = world();
    const { exp, nats } = opened(ask(question()).answers[0]);
    assert.ok(nats.jwt);
    assert.equal(exp, NOW / 1000 + 2, "the answer ends with the question");
    assert.equal(sessions.pending(NOW).length, 1);
    assert.deepEqual(results, ["admitted"]);
  });

  it("refuses by a signed answer, and after some guesses says that they are too many", () => {
    const { ask, results } = world();
    const guess = question({}, { pass: `v2/${TOKEN}/wrong` });
    for (let i = 0; i < 3; i++) ask(guess);
    assert.equal(opened(ask(guess).answers[0]).nats.error, "login.guessing");
    assert.deepEqual(results.slice(0, 3), ["denied token.unknown", "denied token.unknown", "denied login.guessing"]);
    assert.ok(opened(ask(question({}, undefined, "10.0.0.2")).answers[0]).nats.jwt, "elsewhere nobody notices");
  });

  describe("of whoever comes by another door than sessions do", () => {
    const asked = (info: object) => {
      const { nats, ...claims } = claimsOf();
      return question({ ...claims, nats: { ...nats, client_info: { ...nats.client_info, ...info } } });
    };
    const rows: [info: object, isOurs: boolean][] = [
      [{ kind: "Client", type: "nats" }, true],
      [{ kind: "Client", type: "websocket" }, true],
      [{ kind: "Client", type: "mqtt", mqtt_id: "x" }, false],
      [{ kind: "Client", type: "something new" }, false],
      ...["Leafnode", "Gateway", "Router", "JetStream", "Account", "System", "client", 7].map(
        (kind): [object, boolean] => [{ kind }, false],
      ),
    ];
    for (const [info, isOurs] of rows) {
      it(`${isOurs ? "lets in" : "refuses"} ${JSON.stringify(info)}`, () => {
        const { ask, results, sessions } = world();
        for (let count = 0; count < 5; count++) ask(asked(info));
        assert.deepEqual([...new Set(results)], [isOurs ? "admitted" : "denied login.kind"]);
        assert.equal(sessions.size, Number(isOurs));
      });
    }
  });

  describe("over the edge", () => {
    const over = (address: string, auth_token: string, pass = signStatement([edgeKey], address, auth_token, NOW)) =>
      question({}, { auth_token, pass });
    const right = `v2/${TOKEN}/secret`;
    const wrong = `v2/${TOKEN}/wrong`;
    const codeOf = (answers: Uint8Array[]) => opened(answers[0]).nats.error ?? "admitted";

    it("counts guesses by the address that the edge states, and lets a known token in beside them", () => {
      const { ask } = world();
      for (let i = 0; i < 3; i++) ask(over("203.0.113.7", wrong));
      assert.equal(codeOf(ask(over("203.0.113.7", wrong)).answers), "login.guessing");
      assert.equal(codeOf(ask(over("203.0.113.7", right)).answers), "admitted");
      assert.equal(codeOf(ask(over("203.0.113.8", wrong)).answers), "token.unknown");
      assert.equal(codeOf(ask(question()).answers), "admitted", "nor does the edge's own address pay for it");
    });

    it("refuses a statement of another token, of another key, out of date, or out of thin air, and looks no further", () => {
      const { ask, results } = world();
      const another = signingKey(seedBytes("user", seedOf(createPair(Prefix.User))));
      const statements = [
        signStatement([edgeKey], "203.0.113.7", wrong, NOW),
        signStatement([another], "203.0.113.7", right, NOW),
        signStatement([edgeKey], "203.0.113.7", right, NOW - 60_000),
        signStatement([edgeKey], "203.0.113.7", right, NOW).replace(".7|", ".8|"),
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

  it("lets nobody in when its lease ran out while it waited", async () => {
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
});

describe("a login whose token the graph does not know", () => {
  const pass = `v2/${REMOTE}/secret`;
  const voucher = { token: REMOTE, user: USER, scopes: ["all"], until: NOW + 60_000 };

  /** A lookup that answers when it is told to. */
  function asking(change: Partial<ResponderParts> = {}) {
    const state = { answer: null as Voucher | "unknown" | Fault | null, asked: 0 };
    const answered = deferred();
    const lookup = {
      concerns: () => true,
      known: () => state.answer,
      ask: () => {
        state.asked++;
        return answered.promise;
      },
    };
    const says = (answer: typeof state.answer) => {
      state.answer = answer;
      answered.resolve();
    };
    return { ...world({ lookup, ...change }), state, says };
  }

  it("waits for Arvados' API, and is let in for as long as its word counts", async () => {
    const aliased: Identity[] = [];
    const { ask, says, results, sessions } = asking({
      alias: (identity) => {
        aliased.push(identity);
        return null;
      },
    });
    const { answers } = ask(question({}, { pass }));
    assert.deepEqual([answers.length, results], [0, []]);
    says(voucher);
    await until(() => results.length > 0, "its end");
    const { nats } = opened(answers[0]);
    assert.equal(
      payloadOf<{ exp: number }>(nats.jwt).exp,
      (NOW + 60_000) / 1000 - 1,
      "and a second less: nats-server rounds up",
    );
    assert.deepEqual([aliased[0]?.vouched, aliased[0]?.user, sessions.size], [true, USER, 1]);
  });

  const refusals: [what: string, answer: Voucher | "unknown" | Fault, code: string][] = [
    ["Arvados does not know it", "unknown", "denied token.unknown"],
    ["the API is down", fault("lookup.unavailable", { reason: "HTTP 502" }), "outage lookup.unavailable"],
    ["its user is not active here", { ...voucher, user: INACTIVE }, "denied user.inactive"],
    ["its user is not here", { ...voucher, user: "yyyyy-tpzed-000000000000009" }, "denied user.inactive"],
    ["the API speaks of another token", { ...voucher, token: "yyyyy-gj3su-000000000000009" }, "denied token.unknown"],
    ["a row stands for it that says otherwise", { ...voucher, token: TOKEN }, "outage lookup.unavailable"],
  ];
  for (const [what, answer, code] of refusals) {
    it(`is refused where ${what}`, async () => {
      const { ask, says, results } = asking();
      const bare = code === "outage lookup.unavailable" ? "bare.token" : pass;
      const { answers } = ask(question({}, { pass: bare }));
      says(answer);
      await until(() => results.length > 0, "its end");
      assert.deepEqual([results, opened(answers[0]).nats.error], [[code], code.split(" ")[1]]);
    });
  }

  it("is an outage where the API takes longer than the login can wait", async () => {
    const { ask, results, state } = asking({ lookupPatience: 5 });
    const { answers } = ask(question({}, { pass }));
    await until(() => results.length > 0, "its end");
    assert.deepEqual([results, state.asked], [["outage lookup.unavailable"], 1]);
    assert.equal(opened(answers[0]).nats.error, "lookup.unavailable");
  });

  it("hears nothing of an outage where the setting says so, but of a refusal it does", async () => {
    for (const [answer, count] of [
      [fault("lookup.unavailable", { reason: "HTTP 502" }), 0],
      ["unknown", 1],
    ] as const) {
      const { ask, says, results } = asking({ onOutage: "abort" });
      const { answers } = ask(question({}, { pass }));
      says(answer);
      await until(() => results.length > 0, "its end");
      assert.equal(answers.length, count);
    }
  });

  it("is not let in without a lease, however long ago it was asked about", async () => {
    let held = true;
    const { ask, says, results, sessions } = asking({ mayAnswer: () => held });
    ask(question({}, { pass }));
    held = false;
    says(voucher);
    await until(() => results.length > 0, "its end");
    assert.deepEqual([results, sessions.size], [["outage login.no_lease"], 0]);
  });

  it("counts as a guess while nobody knows better: an address has no more of them at a time than it may guess", async () => {
    const { ask, says, results, state } = asking();
    const { answers } = ask(question({}, { pass }));
    for (let i = 0; i < 3; i++) ask(question({}, { pass }));
    assert.deepEqual([state.asked, results], [2, ["denied login.guessing", "denied login.guessing"]]);
    says(voucher);
    await until(() => answers.length > 0, "the answer");
    await until(() => results.filter((result) => result === "admitted").length === 2, "both to be let in");
    assert.equal(
      opened(ask(question({}, { pass })).answers[0]).nats.error,
      undefined,
      "who was no guess has lost nothing",
    );
  });

  it("is not asked about from an address that guesses, and is let in there once it is known", async () => {
    const { ask, says, results, state } = asking();
    const guess = question({}, { pass: `v2/${TOKEN}/wrong` });
    // As the graph has it: nobody is asked about a wrong secret of a token that it knows.
    says("unknown");
    for (let i = 0; i < 2; i++) ask(guess);
    state.answer = null;
    ask(question({}, { pass }));
    assert.deepEqual([state.asked, results.at(-1)], [0, "denied login.guessing"]);
    state.answer = voucher;
    ask(question({}, { pass }));
    assert.equal(results.at(-1), "admitted");
  });

  it("counts as a guess for good where Arvados does not know it either", async () => {
    const { ask, says, results } = asking();
    ask(question({}, { pass }));
    says("unknown");
    await until(() => results.length === 1, "the refusal");
    ask(question({}, { pass }));
    ask(question({}, { pass }));
    assert.deepEqual(results, ["denied token.unknown", "denied token.unknown", "denied login.guessing"]);
  });

  it("is asked about nowhere without a lookup", () => {
    const { ask, results } = world();
    assert.equal(opened(ask(question({}, { pass })).answers[0]).nats.error, "token.unknown");
    assert.deepEqual(results, ["denied token.unknown"]);
  });
});

describe("a login that waited too long for its turn", () => {
  const late = (code: "login.no_lease" | "login.overload", onOutage: "deny" | "abort") => {
    const { responder, results } = world({ mayAnswer: () => false, onOutage });
    const answers: Uint8Array[] = [];
    const respond = (body?: unknown) => answers.push(body as Uint8Array) > 0;
    responder.shed({ ...question(), respond } as Question, fault(code, { ms: 1 }));
    return { error: answers[0] && opened(answers[0]).nats.error, results };
  };
  it("is told so where the lease is missing", () => {
    assert.deepEqual(late("login.no_lease", "deny"), { error: "login.no_lease", results: ["outage login.no_lease"] });
  });
  it("is not even opened where that would help nobody", () => {
    assert.deepEqual(late("login.no_lease", "abort"), { error: undefined, results: [] });
    assert.deepEqual(late("login.overload", "deny"), { error: undefined, results: [] });
  });
});
