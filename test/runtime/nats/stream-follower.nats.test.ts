/** A follower whose server does not answer any more, or is another one, or sends what does not arrive. */
import assert from "node:assert/strict";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { ConnectionOptions } from "@nats-io/nats-core";
import { until } from "../../../dev/testing/until.ts";
import { deferred } from "../../../runtime/deferred.ts";
import { type FollowFailure, type FollowOptions, followStream } from "../../../runtime/nats/stream-follower.ts";
import { startNats, type TestNats } from "../../support/servers/nats.ts";
import { startTcpRelay } from "../../support/servers/relay.ts";

async function follow(nats: TestNats, more: Partial<FollowOptions>, connection: ConnectionOptions = {}) {
  const nc = await nats.connect("authcallout", "CORE", connection);
  const caughtUp = deferred<void>();
  const follower = followStream({
    js: jetstream(nc),
    jsm: await jetstreamManager(nc),
    nc,
    stream: "GRAPH",
    onMessage: () => {},
    onCaughtUp: () => caughtUp.resolve(),
    ...more,
  });
  await caughtUp.promise;
  return { [Symbol.asyncDispose]: () => follower.stop() };
}

/** A follower behind a wire that loses what the server sends, once it has read the first of GRAPH's messages. */
async function onLossyWire(nats: TestNats, urgent: boolean) {
  const seen: number[] = [];
  const troubles: string[] = [];
  const wire = await startTcpRelay({ to: () => [Number(new URL(nats.server.url).port)] });
  const follower = await follow(
    nats,
    { urgent, onMessage: ({ seq }) => void seen.push(seq), onTrouble: (reason) => void troubles.push(reason) },
    { servers: `127.0.0.1:${wire.port}`, reconnect: true, maxReconnectAttempts: -1, reconnectTimeWait: 50 },
  );
  const bridge = await nats.connect("bridge", "CORE");
  let published = 0;
  // GRAPH keeps one message a subject.
  const publish = () => jetstream(bridge).publish(nats.subjects.graph("user", `u${++published}`), "{}");
  await publish();
  await until(() => seen.length === 1, "the first message");
  return {
    wire,
    seen,
    troubles,
    publish,
    async publishLost() {
      wire.lose();
      await publish();
      await until(() => wire.lost().includes(nats.subjects.graph("user", `u${published}`)), "the server to send it");
    },
    async [Symbol.asyncDispose]() {
      await follower[Symbol.asyncDispose]();
      await wire[Symbol.asyncDispose]();
    },
  };
}

describe("a follower of a stream", () => {
  it("reads everything again when onMessage throws, later each time, and leaves nothing out", async () => {
    await using nats = await startNats();
    const bridge = await nats.connect("bridge", "CORE");
    for (const name of ["a", "b", "c"]) await jetstream(bridge).publish(nats.subjects.graph("user", name), "{}");
    const seen: number[] = [];
    const resets: string[] = [];
    const failures: FollowFailure[] = [];
    const delays: number[] = [];
    await using _ = await follow(nats, {
      urgent: true,
      onMessage({ seq }) {
        if (seq === 2 && failures.length < 3) throw new TypeError(`the content of ${seq}`);
        seen.push(seq);
      },
      onReset(reason) {
        resets.push(reason);
        // What is due is called again.
        if (resets.length === 1) throw new Error("not yet");
      },
      onFailure: (failure) => void failures.push(failure),
      onTrouble: (_, delay) => void delays.push(delay),
    });
    await until(() => seen.at(-1) === 3, "the end");
    assert.deepEqual(seen, [1, 1, 1, 1, 2, 3]);
    assert.deepEqual(
      failures.map(({ sequence, subject, times }) => [sequence, subject, times]),
      [1, 2, 3].map((times) => [2, nats.subjects.graph("user", "b"), times]),
    );
    assert.match(failures[0]?.reason ?? "", /^TypeError at stream-follower\.nats\.test\.ts:\d+$/);
    assert.equal(resets.length, 4, "each time, and once again where that threw");
    assert.deepEqual(delays, [100, 200, 400]);
  });

  it("retries as soon as heartbeats are missed, without waiting for an answer of a silent server", async () => {
    await using nats = await startNats();
    const troubles: string[] = [];
    await using _ = await follow(nats, { onTrouble: (reason) => void troubles.push(reason) });
    process.kill(nats.server.pid, "SIGSTOP");
    // Two heartbeats; an answer that does not come would be waited for 5 s more.
    await until(() => troubles.includes("heartbeats_missed"), "the trouble to be told");
    process.kill(nats.server.pid, "SIGCONT");
  });

  it("starts over when its connection has moved to another server, though its consumer still exists", async () => {
    await using nats = await startNats();
    const info = { server_id: "N1", client_id: 1 };
    const resets: string[] = [];
    await using _ = await follow(nats, { nc: { info }, onReset: (reason) => void resets.push(reason) });
    info.server_id = "N2";
    await until(() => resets.length === 1, "the start");
  });

  it("misses nothing that a lost connection carried, though its consumer still exists", async () => {
    await using nats = await startNats();
    await using wired = await onLossyWire(nats, false);
    await wired.publishLost();
    wired.wire.find();
    wired.wire.cut();
    await until(() => wired.seen.length === 2, "what was lost");
    await wired.publish();
    await until(() => wired.seen.length === 3, "what came later");
    assert.deepEqual(wired.seen, [1, 2, 3]);
  });

  it("misses nothing that was lost within a connection, whether or not another message follows", async () => {
    await using nats = await startNats();
    await using wired = await onLossyWire(nats, true);
    await wired.publishLost();
    wired.wire.find();
    await until(() => wired.seen.length === 2, "what was lost and nothing followed");
    await wired.publishLost();
    wired.wire.find();
    await wired.publish();
    await until(() => wired.seen.length === 4, "what was lost, and what followed");
    assert.deepEqual(wired.seen, [1, 2, 3, 4]);
    assert.deepEqual(wired.troubles, ["a message did not arrive", "a message did not arrive"]);
  });
});
