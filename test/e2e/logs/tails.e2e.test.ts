/** Tails and their sessions: what a client no longer reads is not kept for it, and no user takes the places of others. */
import assert from "node:assert/strict";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { type Client, connectOptions, createClient, sessionId, type TailEnd } from "../../../client/mod.ts";
import { until } from "../../../dev/testing/until.ts";
import { silentLog } from "../../../runtime/log/log.ts";
import { connectService } from "../../../runtime/nats/service-connection.ts";
import { createScope } from "../../../runtime/scope.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

const MOST = 5;

describe("the tails of a user", () => {
  let stack: TestStack;
  before(async () => {
    stack = await startTestStack({ overrides: { tailMax: MOST } });
  });
  after(() => stack?.[Symbol.asyncDispose]());

  const tails = async () => {
    const text = await (await fetch(`${stack.services.proxy.adminUrl}/metrics`)).text();
    return Number(/^arvados_nats_proxy_tails (\d+)/m.exec(text)?.[1] ?? Number.NaN);
  };
  const consumers = async () => {
    await using scope = createScope();
    const options = { service: "gateway", account: "STORE", log: silentLog(), scope } as const;
    const jsm = await jetstreamManager(await connectService({ config: stack.config, ...options }));
    return (await jsm.streams.info("LOGS")).state.consumer_count;
  };
  const session = async () => {
    const sid = sessionId();
    const { v2: token } = stack.cluster.users.alice.token;
    const nc = await connect({ servers: stack.nats.url, ...(await connectOptions(token, sid)) });
    return { nc, client: await createClient({ nc, clusterId: stack.config.clusterId, token, sid }) };
  };
  const follow = (client: Client, ends: TailEnd[]) =>
    client.tail({
      container: stack.cluster.container.uuid,
      file: "stdout.txt",
      onBytes: () => {},
      onEnd: (end) => void ends.push(end),
    });

  it("end with their session, which says nothing as it goes, and leave no consumer behind", async () => {
    const { nc, client } = await session();
    for (let i = 0; i < MOST; i++) follow(client, []);
    await until(async () => (await tails()) === MOST, "the tails");
    await nc.close();
    const begun = performance.now();
    await until(async () => (await tails()) === 0, "the tails to end");
    assert.ok(performance.now() - begun < 5_000, "and not after a minute's silence");
    await until(async () => (await consumers()) === 0, "their consumers to go");
  });

  it("are so many over all his sessions, and what is refused says so", async () => {
    const both = [await session(), await session()];
    const ends: TailEnd[] = [];
    for (let i = 0; i <= MOST; i++) follow(both[i % 2]?.client as Client, ends);
    await until(() => ends.length > 0, "a refusal");
    assert.deepEqual(
      ends.map(({ notice, code }) => [notice, code]),
      [["refused", 403]],
    );
    assert.match(ends[0]?.reason ?? "", /limit: logs followed at a time/);
    assert.equal(await tails(), MOST);
    await Promise.all(both.map(({ nc }) => nc.close()));
  });

  it("are taken up again where the session was cut and came back", async () => {
    await until(async () => (await tails()) === 0, "those of before to end");
    const { nc, client } = await session();
    const ends: TailEnd[] = [];
    follow(client, ends);
    await until(async () => (await tails()) === 1, "the tail");
    const statuses: string[] = [];
    client.watch((status) => void statuses.push(status));
    await nc.reconnect();
    await until(() => statuses.includes("disconnected") && statuses.at(-1) === "following", "it to be back");
    await until(async () => (await tails()) === 1 && ends.length === 0, "the tail to be there again, and only once");
    await nc.close();
  });
});
