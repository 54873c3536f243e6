/** Stands in for authcallout where a test is about the bridge alone: whatever barrier is marked is cut at once, for there are no sessions. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { barrierSubject, formatBarrierEntry } from "../../core/barrier/entry.ts";
import { followStream } from "../../runtime/nats/stream-follower.ts";
import type { TestNats } from "./nats.ts";

export type AutoEnforcer = {
  /** Cuts nothing until it is released: records wait. */
  hold(): void;
  release(): void;
  close(): Promise<void>;
};

export async function startAutoEnforcer(nats: TestNats): Promise<AutoEnforcer> {
  const nc = await nats.connect("authcallout", "CORE", {
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
  });
  let holds = false;
  let marked = 0;
  const cutMarked = () => {
    if (holds || marked === 0) return;
    const cut = { kind: "cut", mark: marked } as const;
    nc.publish(barrierSubject(nats.subjects, cut), formatBarrierEntry(cut));
  };
  const follower = followStream({
    js: jetstream(nc),
    jsm: await jetstreamManager(nc),
    stream: "BARRIER",
    filter: nats.subjects.barrierMark,
    nc,
    onMessage: ({ seq }) => {
      marked = seq;
      cutMarked();
    },
  });
  return {
    hold() {
      holds = true;
    },
    release() {
      holds = false;
      cutMarked();
    },
    async close() {
      await follower.stop();
      await nc.close();
    },
  };
}
