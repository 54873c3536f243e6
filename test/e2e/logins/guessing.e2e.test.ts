/** Guessing tokens is limited by the client's address as the edge states it, and nobody else pays for it: no token that is known, wherever it comes from. */
import assert from "node:assert/strict";
import { seedBytes, signingKey } from "../../../core/nkey.ts";
import { signStatement } from "../../../core/session/edge-statement.ts";
import { until } from "../../../dev/testing/until.ts";
import { createLog } from "../../../runtime/log/log.ts";
import { generateKeys } from "../../../streams-config/keys.ts";
import { isAdmitted } from "../../support/clients/raw-client.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

/** More than are free; few, for a try comes back every 12 s. */
const GUESSES = 8;

describe("guessing", () => {
  let stack: TestStack;
  const lines: string[] = [];
  before(async () => {
    const log = createLog({ level: "debug", format: "json", sink: { write: (line) => lines.push(line) } });
    stack = await startTestStack({ log, overrides: { guessesPerMinute: 5 } });
  });
  after(() => stack?.[Symbol.asyncDispose]());

  /** A token of that user, as `npm start`'s nginx would let it in from that address: loopback is a forwarder. */
  const from = (address: string, token: string) =>
    isAdmitted(`${stack.url.replace(/^http/, "ws")}/nats`, { pass: token }, { "X-Forwarded-For": address });
  /** At nats-server's own door, without the edge. */
  const direct = (options: object) => isAdmitted(stack.nats.websocketUrl, options);
  const alice = () => stack.cluster.users.alice.token.v2;
  const guess = (i: number) => `v2/${stack.cluster.users.alice.token.uuid}/guess${i}`;
  const said = (code: string, after = 0) =>
    until(() => lines.slice(after).find((line) => line.includes(`"code":"${code}"`)), code);

  it("exhausts the address that guesses, lets a known token in there, and touches no other address", async () => {
    assert.ok(await from("203.0.113.7", alice()), "before");
    for (let i = 0; i < GUESSES; i++) assert.equal(await from("203.0.113.7", guess(i)), false);
    assert.match(await said("login.guessing"), /"host":"203\.0\.113\.7"/);
    assert.ok(await from("203.0.113.7", alice()), "behind the same NAT");
    const before = lines.length;
    assert.equal(await from("203.0.113.8", guess(1)), false);
    assert.match(await said("token.unknown", before), /"host":"203\.0\.113\.8"/);
    assert.equal(await from("203.0.113.8, 203.0.113.7", guess(2)), false, "whatever address it claims");
    assert.match(await said("login.guessing", before), /"host":"203\.0\.113\.7"/);
    await (await stack.connectBare(alice())).close();
  });

  it("exhausts the network of IPv6 that guesses, whichever of its addresses it takes", async () => {
    for (let i = 0; i < GUESSES; i++) assert.equal(await from(`2001:db8::${(i + 1).toString(16)}`, guess(i)), false);
    const before = lines.length;
    assert.equal(await from("2001:db8::ffff", guess(99)), false);
    assert.match(await said("login.guessing", before), /"host":"2001:db8::ffff"/);
    assert.equal(await from("2001:db8:0:1::1", guess(99)), false);
    assert.match(await said("token.unknown", before), /"host":"2001:db8:0:1::1"/);
  });

  it("does not lock out others for one client that comes back without end with a token that was deleted", async () => {
    const { uuid, v2 } = await stack.arvados.issueToken(stack.cluster.users.bob.uuid);
    await until(() => from("203.0.113.20", v2), "the token to be known");
    await stack.arvados.deleteToken(uuid);
    await until(async () => !(await from("203.0.113.20", v2)), "it to be forgotten");
    for (let i = 0; i < GUESSES; i++) assert.equal(await from("203.0.113.20", v2), false);
    assert.ok(await from("203.0.113.20", alice()));
  });

  it("is not helped by a statement that the edge did not make, or made about another login", async () => {
    const { edgeSeed } = stack.config;
    const ours = signingKey(seedBytes("user", edgeSeed));
    const theirs = signingKey(seedBytes("user", generateKeys().edge.seed));
    const state = (key: typeof ours, token: string) => signStatement([key], "203.0.113.9", token, Date.now());
    const good = { auth_token: alice(), pass: state(ours, alice()) };
    assert.ok(await direct(good), "as the edge itself says it");
    for (const pass of [state(theirs, alice()), state(ours, guess(1)), "edge1|203.0.113.9|9999999999|x"]) {
      const before = lines.length;
      assert.equal(await direct({ ...good, pass }), false, pass);
      await said("login.statement", before);
    }
    const bob = stack.cluster.users.bob.token.v2;
    assert.equal(
      await direct({ ...good, auth_token: bob }),
      false,
      "what was said of alice's login is not said of bob's",
    );
    assert.ok(await from("203.0.113.8", bob), "and bob's own is good");
  });

  it("leaves no token in the log", async () => {
    await isAdmitted(`${stack.url.replace(/^http/, "ws")}/nats?api_token=${encodeURIComponent(guess(77))}`, {});
    const { secret } = stack.cluster.users.alice.token;
    for (const part of [secret, "guess1", "guess77", stack.config.edgeSeed]) {
      assert.ok(!lines.some((line) => line.includes(part)), part);
    }
  });

  it("counts for the peer where nothing is stated, and not for those whose peer is the same edge", async () => {
    for (let i = 0; i < GUESSES; i++) assert.equal(await direct({ pass: guess(i) }), false);
    const isPeer = (line: string) => line.includes('"code":"login.guessing"') && line.includes('"host":"127.0.0.1"');
    await until(() => lines.find(isPeer), "the peer to be limited");
    assert.ok(await direct({ pass: alice() }));
    assert.ok(await from("203.0.113.8", alice()));
  });
});
