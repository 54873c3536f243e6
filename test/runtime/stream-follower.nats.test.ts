/** A follower whose server does not answer any more, or is another one. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { deferred } from "../../runtime/deferred.ts";
import { type FollowOptions, followStream } from "../../runtime/stream-follower.ts";
import { startNats, type TestNats } from "../support/nats.ts";
import { until } from "../support/until.ts";

async function follow(nats: TestNats, more: Partial<FollowOptions>) {
  const nc = await nats.connect("authcallout", "CORE");
  const caughtUp = deferred<void>();
  const follower = followStream({
    js: jetstream(nc),
    jsm: await jetstreamManager(nc),
    stream: "GRAPH",
    onMessage: () => {},
    onCaughtUp: () => caughtUp.resolve(),
    ...more,
  });
  await caughtUp.promise;
  return { [Symbol.asyncDispose]: () => follower.stop() };
}

describe("a follower of a stream", () => {
  it("goes on as soon as heartbeats are missed, and waits for no answer of a server that is silent", async () => {
    await using nats = await startNats();
    const troubles: string[] = [];
    await using _ = await follow(nats, { onTrouble: (reason) => void troubles.push(reason) });
    process.kill(nats.server.pid, "SIGSTOP");
    // Two heartbeats; an answer that does not come would be waited for 5 s more.
    await until(() => troubles.includes("heartbeats_missed"), "the trouble to be told", 6_000);
    process.kill(nats.server.pid, "SIGCONT");
  });

  it("starts anew when its connection has moved to another server, though its consumer lives on", async () => {
    await using nats = await startNats();
    let server = "N1";
    const resets: string[] = [];
    await using _ = await follow(nats, { server: () => server, onReset: (reason) => void resets.push(reason) });
    server = "N2";
    await until(() => resets.length === 1, "the start");
  });
});
