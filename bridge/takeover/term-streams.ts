/** Opens the streams for one term: its own connections, the takeover, and a fenced publisher for each stream. `term.ts` calls it. */
import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { fault } from "../../core/errors.ts";
import type { Lsn } from "../../core/lsn.ts";
import type { Subjects } from "../../core/subjects.ts";
import type { Scope } from "../../runtime/scope.ts";
import { type StreamName, serviceInbox } from "../../streams-config/accounts.ts";
import type { Slot, SystemIdentity } from "../postgres/slot.ts";
import type { Fence } from "../streams/fence.ts";
import { FencedPublisher } from "../streams/publisher.ts";
import type { StreamEnds } from "./epoch.ts";
import { readStoredQueue } from "./stored-state.ts";
import { takeOver } from "./take-over.ts";

export type StreamsOptions = {
  /** Opens a connection for this term only: when it breaks the term ends, and nothing is sent later. */
  connect: (account: "CORE" | "STORE", scope: Scope) => Promise<NatsConnection>;
  /** What this process saw acknowledged in its last term; null = it has not led. Written at the end of this term. */
  seenWhileLeading: { ends: StreamEnds | null };
  now: () => number;
  onPublished: (stream: string, messages: number, isBatch: boolean) => void;
  fence: Fence;
};

export type TermStreams = Awaited<ReturnType<typeof openStreams>>;

export async function openStreams(
  options: StreamsOptions,
  found: { subjects: Subjects; system: SystemIdentity & { lsn: Lsn }; slot: Slot; catalogs: string },
  scope: Scope,
  fail: (error: unknown) => void,
) {
  const { seenWhileLeading, now, fence } = options;
  const connected = async (account: "CORE" | "STORE"): Promise<NatsConnection> => {
    const nc = await options.connect(account, scope);
    void (async () => {
      for await (const status of nc.status()) {
        if (status.type === "disconnect") return fail(fault("nats.lost", { account }));
      }
    })();
    return nc;
  };
  const [core, store] = await Promise.all([connected("CORE"), connected("STORE")]);
  const [coreJsm, storeJsm] = await Promise.all([jetstreamManager(core), jetstreamManager(store)]);
  const seen = seenWhileLeading.ends;
  const takenOver = await takeOver({ core, store, coreJsm, storeJsm, ...found, seenWhileLeading: seen });
  const publisher = (nc: NatsConnection, stream: StreamName, lastSequence: number) => {
    const created = new FencedPublisher({
      nc,
      stream,
      lastSequence,
      inboxPrefix: serviceInbox("bridge"),
      now,
      onFailed: fail,
      onSent: (messages, isBatch) => options.onPublished(stream, messages, isBatch),
      fence,
    });
    scope.defer(`publisher of ${stream}`, () => created.close());
    return created;
  };
  const queue = await readStoredQueue(store, storeJsm, found.subjects);
  const graph = publisher(core, "GRAPH", takenOver.graphSequence);
  const records = publisher(store, "RECORDS", takenOver.recordsSequence);
  scope.defer("ends of the streams", () => {
    seenWhileLeading.ends = { graph: graph.storedSequence, records: records.storedSequence };
  });
  return {
    core,
    coreJsm,
    storeJsm,
    /** Bytes of a message that both servers accept. */
    maxPayload: Math.min(core.info?.max_payload ?? 0, store.info?.max_payload ?? 0),
    takenOver,
    graph,
    records,
    graphLog: publisher(core, "GRAPHLOG", takenOver.graphLogSequence),
    queue: publisher(store, "QUEUE", queue.lastSequence),
    storedQueue: queue.entries,
  };
}
