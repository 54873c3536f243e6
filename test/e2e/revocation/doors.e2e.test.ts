/** Every door: a user whose right was just taken away tries again by each way there is. Refused, or without effect on any stream. */
import assert from "node:assert/strict";
import { jetstreamManager } from "@nats-io/jetstream";
import { errors, headers as makeHeaders, type NatsConnection, type SubscriptionOptions } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { connectOptions, sessionId } from "../../../client/mod.ts";
import { subjectsOf } from "../../../core/subjects.ts";
import { until } from "../../../dev/testing/until.ts";
import { silentLog } from "../../../runtime/log/log.ts";
import { connectService } from "../../../runtime/nats/service-connection.ts";
import { createScope } from "../../../runtime/scope.ts";
import { STREAM_NAMES, STREAMS } from "../../../streams-config/accounts.ts";
import { startTestStack, type TestStack } from "../../support/worlds/stack.ts";

const root = "arvados.zzzzz";
const { live, queue, log, graph, barrierMark, barrierCut } = subjectsOf("zzzzz");
const ALICES = "zzzzz-gj3su-000000000000abc.abcdefghijklmnop";
const OTHER_CONTAINER = "zzzzz-dz642-000000000000999";

/** Subjects that no user may publish to, or use as a reply subject with effect. */
const PUBLISH_DOORS: [name: string, subject: string][] = [
  ["records", `${root}.rec.zzzzz-tpzed-000000000000001.x.collections`],
  ["live events", live("zzzzz-tpzed-000000000000001.x.collections")],
  ["another's notices", `${root}.notice.${ALICES}`],
  ["the queue", queue(OTHER_CONTAINER)],
  ["another container's log", log(OTHER_CONTAINER, "stdout.txt")],
  ["the permission graph", graph("user", "zzzzz-tpzed-000000000000001")],
  ["a mark of the barrier", barrierMark],
  ["a cut of the barrier", barrierCut],
  ["where an object moved", `${root}.moved.x`],
  ["the log of services", `${root}.sys.x.y.info`],
  ["another's verbs", `${root}.api.${ALICES}.whoami`],
  ["another's inbox", `_INBOX.${ALICES}.x`],
  ["JetStream's stream info", "$JS.API.STREAM.INFO.RECORDS"],
  ["JetStream's purge", "$JS.API.STREAM.PURGE.RECORDS"],
  ["JetStream's single messages", "$JS.API.STREAM.MSG.GET.RECORDS"],
  ["JetStream's direct get", "$JS.API.DIRECT.GET.RECORDS"],
  ["JetStream's consumers", "$JS.API.CONSUMER.CREATE.RECORDS"],
  ["JetStream's pull", "$JS.API.CONSUMER.MSG.NEXT.RECORDS.x"],
  ["JetStream's acknowledgements", "$JS.ACK.RECORDS.x.1.1.1.1.1"],
  ["servers", "$SYS.REQ.SERVER.PING"],
  ["a listing of connections", "$SYS.REQ.ACCOUNT.PING.CONNZ"],
  ["a login request", "$SYS.REQ.USER.AUTH"],
  ["services", "$SRV.PING"],
];

const SUBSCRIBE_DOORS: [name: string, subject: string, options?: SubscriptionOptions][] = [
  ["the wildcard over everything", ">"],
  ["the wildcard over the product", "arvados.>"],
  ["the wildcard over all events", `${root}.live.>`],
  ["a wildcard in each place", `${root}.live.*.*.*.*`],
  ["everybody's inbox", "_INBOX.>"],
  ["another's inbox", `_INBOX.${ALICES}.>`],
  ["another's notices", `${root}.notice.${ALICES}`],
  ["everybody's notices", `${root}.notice.>`],
  ["everybody's verbs", `${root}.api.>`],
  ["records", `${root}.rec.>`],
  ["logs", `${root}.log.>`],
  ["the queue", `${root}.queue.>`],
  ["the permission graph", `${root}.graph.>`],
  ["the barrier", `${root}.barrier.>`],
  ["JetStream's API", "$JS.API.>"],
  ["the system", "$SYS.>"],
  ["login requests", "$SYS.REQ.USER.AUTH"],
  ["services", "$SRV.>"],
  ["a queue group on what he may read", live("@resync"), { queue: "thieves" }],
];

describe("every door", () => {
  let stack: TestStack;
  let bob: NatsConnection;
  const sid = sessionId();
  const scope = createScope();
  let counts: () => Promise<Record<string, number>>;
  /** bob's connection, and a round trip through it: what he did before has been seen to. */
  let settled: () => Promise<void>;
  const refusals: string[] = [];

  before(async () => {
    stack = await startTestStack();
    const { config, cluster } = stack;
    const [coreJsm, storeJsm] = await Promise.all([
      jetstreamManager(await connectService({ config, service: "bridge", account: "CORE", log: silentLog(), scope })),
      jetstreamManager(await connectService({ config, service: "bridge", account: "STORE", log: silentLog(), scope })),
    ]);
    const gateway = await connectService({ config, service: "gateway", account: "STORE", log: silentLog(), scope });
    const logs = await jetstreamManager(gateway);
    counts = async () => {
      // Replicas renew their leases meanwhile.
      const names = STREAM_NAMES.filter((name) => name !== "BARRIER");
      const manager = (name: (typeof names)[number]) =>
        name === "LOGS" ? logs : STREAMS[name] === "CORE" ? coreJsm : storeJsm;
      const found = await Promise.all(
        names.map(async (name) => (await manager(name).streams.info(name)).state.last_seq),
      );
      const foreign = await logs.streams.info("LOGS", { subjects_filter: `${root}.log.${OTHER_CONTAINER}.>` });
      const { state } = await coreJsm.streams.info("BARRIER", { subjects_filter: `${root}.barrier.mark` });
      const marks = state.subjects?.[barrierMark] ?? 0;
      return {
        ...Object.fromEntries(names.map((name, i) => [name, found[i] as number])),
        marks,
        foreignLogs: Object.keys(foreign.state.subjects ?? {}).length,
      };
    };
    await stack.demo.actions.share?.();
    const pattern = live(`${cluster.users.alice.uuid}.${cluster.projects.genomes}.>`);
    const subscribed = await until(async () => {
      const nc = await stack.connectBare(cluster.users.bob.token.v2);
      const state = { nc, refused: false };
      nc.subscribe(pattern, {
        callback: (error) => {
          if (error) state.refused = true;
        },
      });
      await Promise.race([nc.flush(), nc.closed()]);
      return !state.refused && !nc.isClosed() ? state : null;
    }, "bob to listen");
    await stack.demo.actions.unshare?.();
    await subscribed.nc.closed();
    bob = await connect({
      servers: stack.nats.url,
      ...(await connectOptions(cluster.users.bob.token.v2, sid)),
      reconnect: false,
    });
    void (async () => {
      for await (const status of bob.status()) if (status.type === "error") refusals.push(String(status.error.message));
    })();
    const whoami = `${root}.api.${cluster.users.bob.token.uuid}.${sid}.whoami`;
    settled = async () => void (await bob.request(whoami, "", { timeout: 5_000 }));
  });
  after(async () => {
    await bob?.close();
    await scope.close();
    await stack?.[Symbol.asyncDispose]();
  });

  it("the live subscription is closed, and the old credentials open none like it", async () => {
    const { cluster } = stack;
    const pattern = live(`${cluster.users.alice.uuid}.${cluster.projects.genomes}.>`);
    assert.ok(await isRefused(pattern));
    assert.ok(!(await isRefused(live("@resync"))), "negative control: what he may read he may");
  });

  for (const [name, subject, options] of SUBSCRIBE_DOORS) {
    it(`subscribing: ${name}`, async () => assert.ok(await isRefused(subject, options)));
  }

  for (const [name, subject] of PUBLISH_DOORS) {
    it(`publishing: ${name}`, async () => {
      const before = await counts();
      const seen = refusals.length;
      bob.publish(subject, "x");
      await bob.flush();
      await settled();
      await until(() => refusals.length > seen, "the refusal");
      assert.match(refusals.at(-1) ?? "", /[Pp]ermissions/);
      assert.deepEqual(await counts(), before);
    });

    it(`by the reply to what he may publish: ${name}`, async () => {
      const before = await counts();
      const whoami = `${root}.api.${stack.cluster.users.bob.token.uuid}.${sid}.whoami`;
      bob.publish(whoami, "", { reply: subject });
      await settled();
      assert.deepEqual(await counts(), before);
    });

    it(`by the acknowledgement of a container's own log: ${name}`, async () => {
      const { container } = stack.cluster;
      const own = sessionId();
      const options = await connectOptions(container.token.withContainer, own);
      await using nc = closing(await connect({ servers: stack.nats.url, ...options, reconnect: false }));
      const before = await counts();
      const headers = makeHeaders();
      headers.set("Nats-Rollup", "all");
      nc.connection.publish(log(container.uuid, "stdout.txt"), "x", { reply: subject });
      nc.connection.publish(log(container.uuid, "stderr.txt"), "x", { reply: subject, headers });
      await nc.connection.flush();
      await settled();
      const { LOGS: lines = 0, ...others } = await counts();
      const { LOGS: linesBefore = 0, ...othersBefore } = before;
      assert.deepEqual(others, othersBefore);
      assert.ok(lines - linesBefore <= 2, "its own two lines, and no acknowledgement among them");
    });
  }

  async function isRefused(subject: string, options: SubscriptionOptions = {}): Promise<boolean> {
    let refused: unknown = null;
    const subscription = bob.subscribe(subject, {
      ...options,
      callback: (error) => {
        refused ??= error;
      },
    });
    await bob.flush();
    if (refused === null) subscription.unsubscribe();
    return refused instanceof errors.PermissionViolationError;
  }
});

function closing(connection: NatsConnection) {
  return { connection, [Symbol.asyncDispose]: () => connection.close() };
}
