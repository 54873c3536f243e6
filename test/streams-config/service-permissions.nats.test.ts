import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { headers, type NatsConnection } from "@nats-io/nats-core";
import { until } from "../../dev/testing/until.ts";
import type { StreamName } from "../../streams-config/accounts.ts";
import { messageCount, startNats, type TestNats } from "../support/servers/nats.ts";
import { startTestCallout } from "../support/worlds/callout.ts";

const root = "arvados.zzzzz";

/** Publishes messages as one atomic batch; returns the sequence of the last. */
async function batch(connection: NatsConnection, subjects: string[]): Promise<number> {
  const id = randomUUID();
  const header = (index: number, commit: boolean) => {
    const set = headers();
    set.set("Nats-Batch-Id", id);
    set.set("Nats-Batch-Sequence", String(index + 1));
    if (commit) set.set("Nats-Batch-Commit", "1");
    return set;
  };
  for (const [index, subject] of subjects.slice(0, -1).entries()) {
    connection.publish(subject, "{}", { headers: header(index, false) });
  }
  const last = subjects.length - 1;
  const answer = await connection.request(subjects[last] as string, "{}", {
    headers: header(last, true),
    timeout: 2_000,
  });
  const { seq, error } = answer.json() as { seq: number; error?: unknown };
  assert.equal(error, undefined);
  return seq;
}

/** Reads a stream in each way that a service may want: an ordered consumer, a durable, one message, the last on a subject. */
async function readEveryWay(connection: NatsConnection, stream: StreamName, subject: string): Promise<void> {
  const manager = await jetstreamManager(connection);
  const consumers = jetstream(connection).consumers;
  const ordered = await consumers.get(stream, { deliver_policy: DeliverPolicy.LastPerSubject });
  assert.ok(await ordered.next({ expires: 2_000 }), `${stream} by an ordered consumer`);
  await ordered.delete();
  const name = `test-${randomUUID()}`;
  await manager.consumers.add(stream, { durable_name: name, ack_policy: AckPolicy.Explicit });
  const message = await (await consumers.get(stream, name)).next({ expires: 2_000 });
  assert.equal(await message?.ackAck(), true, `${stream} by a durable consumer`);
  await manager.consumers.delete(stream, name);
  assert.ok(await manager.streams.getMessage(stream, { last_by_subj: subject }), `${stream} on the leader`);
  if (stream !== "BARRIER" && stream !== "GRAPHLOG") {
    assert.ok(await manager.direct.getMessage(stream, { last_by_subj: subject }), `${stream} by a direct get`);
  }
}

/** What the bridge writes; the tests of the others read it. */
async function write(nats: TestNats): Promise<{ core: NatsConnection; store: NatsConnection }> {
  const core = await nats.connect("bridge", "CORE");
  const store = await nats.connect("bridge", "STORE");
  assert.equal(await batch(core, [`${root}.graph.user.a`, `${root}.graph.link.b`, `${root}.graph.commit`]), 3);
  assert.equal(await batch(store, [`${root}.rec.a.b.collections`, `${root}.moved.b`]), 2);
  await core.request(`${root}.graphlog.stored`, "{}");
  await core.request(`${root}.barrier.mark`, "{}");
  await store.request(`${root}.queue.c`, "{}");
  return { core, store };
}

describe("a service's rights", () => {
  it("let the bridge write graph and records in whole commits, marks, beats and the queue, and read them back", async () => {
    await using nats = await startNats();
    const { core, store } = await write(nats);
    await readEveryWay(core, "GRAPH", `${root}.graph.commit`);
    await readEveryWay(core, "GRAPHLOG", `${root}.graphlog.stored`);
    await readEveryWay(core, "BARRIER", `${root}.barrier.mark`);
    await readEveryWay(store, "RECORDS", `${root}.moved.b`);
    await readEveryWay(store, "QUEUE", `${root}.queue.c`);
  });

  it("let the bridge copy logs, know how far it is, and hear from the gateway which ones are tailed", async () => {
    await using nats = await startNats();
    const bridge = await nats.connect("bridge", "STORE");
    const gateway = await nats.connect("gateway", "STORE");
    const subject = nats.subjects.log("c", "stdout.txt");
    await bridge.request(subject, "line\n");
    const manager = await jetstreamManager(bridge);
    assert.equal((await manager.streams.getMessage("LOGS", { last_by_subj: subject }))?.string(), "line\n");
    const heard: string[] = [];
    bridge.subscribe(nats.subjects.tailed, { callback: (_error, message) => void heard.push(message.string()) });
    await bridge.flush();
    gateway.publish(nats.subjects.tailed, "these");
    await until(() => heard.includes("these"), "the gateway's word");
  });

  it("let authcallout follow the graph, answer on the barrier, list and kick sessions, and send notices", async () => {
    await using nats = await startNats();
    const bridge = await write(nats);
    await startTestCallout(nats, () => ({ name: "alice", publish: ["nothing"], subscribe: [`${root}.notice.t.s`] }));
    const core = await nats.connect("authcallout", "CORE");
    const system = await nats.connect("authcallout", "SYS");
    const app = await nats.connect("authcallout", "APP");
    const beats: string[] = [];
    core.subscribe(`${root}.beat`, { callback: (_error, message) => void beats.push(message.string()) });
    await core.flush();
    bridge.core.publish(`${root}.beat`, "now");
    await until(() => beats.length > 0, "a beat");
    await readEveryWay(core, "GRAPH", `${root}.graph.commit`);
    for (const step of ["lease.one", "settled.one", "cut"]) await core.request(`${root}.barrier.${step}`, "{}");
    await readEveryWay(core, "BARRIER", `${root}.barrier.cut`);

    const events: string[] = [];
    for (const event of ["CONNECT", "DISCONNECT"]) {
      system.subscribe(`$SYS.ACCOUNT.*.${event}`, { callback: (_error, message) => void events.push(message.subject) });
    }
    await system.flush();
    const alice = await nats.connectUser({ token: "any" });
    const notices: string[] = [];
    alice.subscribe(`${root}.notice.t.s`, { callback: (_error, message) => void notices.push(message.string()) });
    await alice.flush();
    app.publish(`${root}.notice.t.s`, "hello");
    await until(() => notices.length > 0, "a notice");

    const listing = await system.request("$SYS.REQ.SERVER.PING.CONNZ", JSON.stringify({ auth: true, user: "alice" }));
    const { server, data } = listing.json() as { server: { id: string }; data: { connections: { cid: number }[] } };
    assert.equal(data.connections.length, 1);
    const cid = data.connections[0]?.cid;
    const kicked = await system.request(`$SYS.REQ.SERVER.${server.id}.KICK`, JSON.stringify({ cid }));
    assert.equal((kicked.json() as { error?: unknown }).error, undefined);
    await alice.closed();
    await until(() => events.includes("$SYS.ACCOUNT.APP.DISCONNECT"), "the disconnect event");
    assert.ok(events.includes("$SYS.ACCOUNT.APP.CONNECT"));
  });

  it("let the gateway follow the graph, read records, logs and queue, and answer sessions", async () => {
    await using nats = await startNats();
    await write(nats);
    await startTestCallout(nats, () => ({
      name: "alice",
      publish: [`${root}.api.t.s.whoami`, `${root}.log.c.stdout.txt`],
      subscribe: ["_INBOX.t.s.>"],
    }));
    const core = await nats.connect("gateway", "CORE");
    const store = await nats.connect("gateway", "STORE");
    const app = await nats.connect("gateway", "APP");
    app.subscribe(nats.subjects.apiRequests, {
      queue: "gateway",
      callback: (_error, message) => void message.respond("you"),
    });
    await app.flush();
    const alice = await nats.connectUser({ token: "any", inboxPrefix: "_INBOX.t.s" });
    assert.equal((await alice.request(`${root}.api.t.s.whoami`, "{}")).string(), "you");
    await alice.request(`${root}.log.c.stdout.txt`, "line\n");
    await readEveryWay(core, "GRAPH", `${root}.graph.commit`);
    for (const step of ["lease.two", "settled.two"]) await core.request(`${root}.barrier.${step}`, "{}");
    await readEveryWay(store, "LOGS", `${root}.log.c.stdout.txt`);
    await readEveryWay(store, "RECORDS", `${root}.moved.b`);
    await readEveryWay(store, "QUEUE", `${root}.queue.c`);
    const heard: string[] = [];
    for (const subject of [`${root}.live.>`, `${root}.log.>`, `${root}.queue.>`]) {
      store.subscribe(subject, { callback: (_error, message) => void heard.push(message.subject) });
    }
    store.publish(`${root}.live.@resync`, "{}");
    await until(() => heard.includes(`${root}.live.@resync`), "its own resync");
  });

  it("end there: what a service does not need, it may not do", async () => {
    await using nats = await startNats();
    const outside: [connection: NatsConnection, subject: string][] = [
      [await nats.connect("gateway", "CORE"), `${root}.graph.user.a`],
      [await nats.connect("gateway", "CORE"), `${root}.graphlog.commit`],
      [await nats.connect("gateway", "CORE"), "$JS.API.CONSUMER.CREATE.GRAPHLOG"],
      [await nats.connect("gateway", "CORE"), `${root}.barrier.cut`],
      [await nats.connect("gateway", "STORE"), `${root}.rec.a.b.collections`],
      [await nats.connect("gateway", "STORE"), "$JS.API.STREAM.PURGE.LOGS"],
      [await nats.connect("bridge", "CORE"), `${root}.barrier.cut`],
      [await nats.connect("bridge", "STORE"), "$JS.API.CONSUMER.CREATE.LOGS"],
      [await nats.connect("bridge", "STORE"), "$JS.API.STREAM.UPDATE.RECORDS"],
      [await nats.connect("authcallout", "CORE"), `${root}.graph.user.a`],
      [await nats.connect("authcallout", "SYS"), "$SYS.REQ.SERVER.PING.VARZ"],
      [await nats.connect("streams", "STORE"), `${root}.rec.a.b.collections`],
    ];
    for (const [connection, subject] of outside) {
      await assert.rejects(connection.request(subject, "{}"), /permissions violation/i, subject);
    }
    const listener = await nats.connect("bridge", "CORE");
    const refused = new Promise<Error | null>((resolve) => {
      listener.subscribe("$SYS.REQ.USER.AUTH", { callback: (error) => resolve(error) });
    });
    assert.match(String(await refused), /permissions violation/i);
    assert.equal(await messageCount(await nats.connect("gateway", "STORE"), "RECORDS"), 0);
  });

  it("do not reach the websocket port", async () => {
    await using nats = await startNats();
    const { wsconnect, nkeyAuthenticator } = await import("@nats-io/nats-core");
    const { WebSocket } = await import("ws");
    Object.assign(globalThis, { WebSocket: globalThis.WebSocket ?? WebSocket });
    const seed = new TextEncoder().encode(nats.keys.users.bridge.STORE.seed);
    const attempt = wsconnect({
      servers: nats.server.websocketUrl,
      authenticator: nkeyAuthenticator(seed),
      reconnect: false,
    });
    await assert.rejects(attempt, /authorization violation/i);
  });
});
