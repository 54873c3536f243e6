/** Stands in for authcallout where a test or a bench is about the bridge alone: each mark is cut at once, since there are no sessions. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { ConnectionOptions, NatsConnection } from "@nats-io/nats-core";
import { barrierSubject, formatBarrierEntry } from "../../core/barrier/entry.ts";
import type { Subjects } from "../../core/subjects.ts";
import { followStream } from "../../runtime/nats/stream-follower.ts";

export type AutoEnforcer = {
  /** Cuts nothing until it is released: records wait. */
  hold(): void;
  release(): void;
  close(): Promise<void>;
};

type Server = {
  subjects: Subjects;
  connect(service: "authcallout", account: "CORE", options: ConnectionOptions): Promise<NatsConnection>;
};

export async function startAutoEnforcer({ subjects, connect }: Server): Promise<AutoEnforcer> {
  const nc = await connect("authcallout", "CORE", {
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
  });
  let holds = false;
  let marked = 0;
  const cutMarked = () => {
    if (holds || marked === 0) return;
    const cut = { kind: "cut", mark: marked } as const;
    nc.publish(barrierSubject(subjects, cut), formatBarrierEntry(cut));
  };
  const follower = followStream({
    js: jetstream(nc),
    jsm: await jetstreamManager(nc),
    stream: "BARRIER",
    filter: subjects.barrierMark,
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
