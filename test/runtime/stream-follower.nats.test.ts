/** A follower whose server does not answer any more. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { followStream } from "../../runtime/stream-follower.ts";
import { startNats } from "../support/nats.ts";
import { until } from "../support/until.ts";

describe("a follower of a stream whose server falls silent", () => {
  it("goes on as soon as heartbeats are missed, and waits for no answer of that server", async () => {
    await using nats = await startNats();
    const nc = await nats.connect("authcallout", "CORE");
    const troubles: string[] = [];
    let isCaughtUp = false;
    const follower = followStream({
      js: jetstream(nc),
      jsm: await jetstreamManager(nc),
      stream: "GRAPH",
      onMessage: () => {},
      onCaughtUp: () => {
        isCaughtUp = true;
      },
      onTrouble: (reason) => void troubles.push(reason),
    });
    await using _ = { [Symbol.asyncDispose]: () => follower.stop() };
    await until(() => isCaughtUp, "the stream's end");
    process.kill(nats.server.pid, "SIGSTOP");
    // Two heartbeats; an answer that does not come would be waited for 5 s more.
    await until(() => troubles.includes("heartbeats_missed"), "the trouble to be told", 6_000);
    process.kill(nats.server.pid, "SIGCONT");
  });
});
