/** How many sessions there may be, and what becomes of those that are too many, at a whole product with two callouts. */
import assert from "node:assert/strict";
import type { NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { connectOptions, sessionId, sessionKey } from "../../../client/mod.ts";
import { subjectsOf } from "../../../core/subjects.ts";
import type { Notice } from "../../../core/wire/wire.ts";
import { until } from "../../../dev/testing/until.ts";
import { Logins } from "../../support/checks/logins.ts";
import { People } from "../../support/checks/people.ts";
import { connectLine, isAdmitted, openRawClient } from "../../support/clients/raw-client.ts";
import { anotherReplica, firstReplica } from "../../support/worlds/callout-process.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

const PER_USER = 6;
const PER_ADDRESS = 3;
const ANONYMOUS = "anonymousanonymousanonymousanonymous";

describe("sessions beyond what there may be", () => {
  let stack: TestStack;
  const logins = new Logins(() => stack);
  const people = new People(() => stack, logins);
  const open: NatsConnection[] = [];
  before(async () => {
    stack = await startTestStack({
      log: logins.log,
      overrides: {
        sessionsPerUser: PER_USER,
        sessionsPerCredential: 4,
        sessionsPerContainer: 2,
        sessionsPerAddress: PER_ADDRESS,
        anonymousUserToken: ANONYMOUS,
      },
    });
  });
  afterEach(async () => void (await Promise.all(open.splice(0).map((nc) => nc.close()))));
  after(() => stack?.[Symbol.asyncDispose]());

  const bare = async (token: string) => {
    const nc = await stack.connectBare(token);
    open.push(nc);
    return nc;
  };
  const refusal = (token: string) => logins.refusalOf(() => bare(token));
  const metric = async (name: RegExp) =>
    Number(name.exec(await (await fetch(`${stack.services.authcallout.adminUrl}/metrics`)).text())?.[1] ?? 0);

  it("are refused by an error of their own, of one token and of one user, until one ends; others do not notice", async () => {
    const user = await people.user();
    const [one, two] = [await stack.arvados.issueToken(user), await stack.arvados.issueToken(user)];
    await logins.isKnown(two.v2);
    await until(async () => (await metric(/^arvados_nats_authcallout_sessions (\d+)/m)) >= 0, "metrics");
    const refused = /requests_total\{result="denied",code="login.too_many_sessions"\} (\d+)/;
    const before = await metric(refused);
    for (let i = 0; i < 4; i++) await until(() => bare(one.v2).catch(() => null), "a place");
    assert.equal(await refusal(one.v2), "login.too_many_sessions");
    for (let i = 4; i < PER_USER; i++) await bare(two.v2);
    assert.equal(await refusal(two.v2), "login.too_many_sessions");
    assert.ok((await metric(refused)) >= before + 2);
    await bare(stack.cluster.users.bob.token.v2);
    await open[0]?.close();
    await until(() => bare(two.v2).catch(() => null), "the place of the one that ended");
  });

  it("do not come from containers: each one's token has places of its own, and takes none of its user", async () => {
    const container = await people.container(false);
    await logins.isKnown(container.plain);
    const { v2 } = await stack.arvados.issueToken(container.user);
    await logins.isKnown(v2);
    for (let i = 0; i < 4; i++) await until(() => bare(v2).catch(() => null), "a place");
    for (let i = 0; i < 2; i++) await until(() => bare(container.token).catch(() => null), "a container's place");
    assert.equal(await refusal(container.token), "login.too_many_sessions");
    assert.equal(await refusal(v2), "login.too_many_sessions");
  });

  it("are counted by address where they are anonymous, as the edge states it", async () => {
    const url = `${stack.url.replace(/^http/, "ws")}/nats`;
    const from = (address: string) => ({ "X-Forwarded-For": address });
    const enter = async (address: string) => {
      const client = await openRawClient(url, from(address));
      client.send(`${connectLine({ user: sessionId(), pass: ANONYMOUS })}PING\r\n`);
      await until(() => client.text().includes("PONG"), "a way in");
      return client;
    };
    const clients = [];
    for (let i = 0; i < PER_ADDRESS; i++) clients.push(await enter("203.0.113.1"));
    const options = { user: sessionId(), pass: ANONYMOUS };
    assert.equal(await isAdmitted(url, options, from("203.0.113.1")), false);
    assert.ok(await isAdmitted(url, options, from("203.0.113.2")));
    assert.ok(await isAdmitted(url, { pass: stack.cluster.users.alice.token.v2 }, from("203.0.113.1")));
    for (const { socket } of clients) socket.close();
  });

  it("that two callouts let in at the same moment are cut within a second with a reason, and as many stay as may be", async () => {
    await using second = await anotherReplica(stack);
    assert.ok(firstReplica(stack).leads() || second.leads());
    const user = await people.user();
    const tokens = await Promise.all([0, 1].map(async () => (await stack.arvados.issueToken(user)).v2));
    for (const token of tokens) await logins.isKnown(token);
    const notices: string[] = [];
    const enter = async (token: string) => {
      const sid = sessionId();
      const options = { ...(await connectOptions(token, sid)), reconnect: false };
      const nc = await connect({ servers: stack.nats.url, ...options }).catch(() => null);
      if (!nc) return;
      open.push(nc);
      nc.subscribe(subjectsOf("zzzzz").notice(await sessionKey(token, sid)), {
        callback: (_error, message) => void notices.push(message.json<Notice>().notice),
      });
    };
    await Promise.all(Array.from({ length: 8 }, (_, i) => enter(tokens[i % 2] as string)));
    const begun = performance.now();
    const alive = () => open.filter((nc) => !nc.isClosed()).length;
    await until(() => alive() <= PER_USER, "those that are too many to be cut");
    assert.ok(performance.now() - begun < 1_000);
    await bare(stack.cluster.users.bob.token.v2);
    assert.equal(alive(), PER_USER + 1, "bob's too");
    assert.ok(
      notices.every((notice) => notice === "tooManySessions"),
      String(notices),
    );
  });
});
