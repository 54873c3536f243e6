/** Stands in for authcallout where a test is about the bridge alone: whatever barrier is marked is cut at once, for there are no sessions. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { barrierSubject, formatBarrierEntry } from "../../core/barrier/entry.ts";
import { followStream } from "../../runtime/stream-follower.ts";
import type { TestNats } from "./nats.ts";

export async function startAutoEnforcer(nats: TestNats): Promise<{ close(): Promise<void> }> {
  const nc = await nats.connect("authcallout", "CORE", {
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
  });
  const follower = followStream({
    js: jetstream(nc),
    jsm: await jetstreamManager(nc),
    stream: "BARRIER",
    filter: nats.subjects.barrierMark,
    server: () => nc.info?.server_id,
    onMessage: ({ seq }) => {
      const cut = { kind: "cut", mark: seq } as const;
      nc.publish(barrierSubject(nats.subjects, cut), formatBarrierEntry(cut));
    },
  });
  return {
    async close() {
      await follower.stop();
      await nc.close();
    },
  };
}
