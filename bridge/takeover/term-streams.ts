/** The streams of one term: connections of its own, the take-over, and a fenced publisher for each stream. */
import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { fault } from "../../core/errors.ts";
import type { Lsn } from "../../core/lsn.ts";
import type { Subjects } from "../../core/subjects.ts";
import type { Scope } from "../../runtime/scope.ts";
import { type StreamName, serviceInbox } from "../../streams-config/accounts.ts";
import type { Slot, SystemIdentity } from "../postgres/slot.ts";
import { FencedPublisher } from "../streams/publisher.ts";
import type { StreamEnds } from "./epoch.ts";
import { readStoredQueue } from "./stored-state.ts";
import { takeOver } from "./take-over.ts";

export type StreamsOptions = {
  /** Opens a connection of this term's own: when it breaks the term is over, and nothing of it is sent later. */
  connect: (account: "CORE" | "STORE", scope: Scope) => Promise<NatsConnection>;
  /** What this process saw acknowledged in the terms before; written at the end of this one. */
  witness: { ends: StreamEnds | null };
  now: () => number;
  onPublished: (stream: string, messages: number, isBatch: boolean) => void;
  /** false in a test, to show what the fence is good for. */
  fenced?: boolean;
};

export type TermStreams = Awaited<ReturnType<typeof openStreams>>;

export async function openStreams(
  options: StreamsOptions,
  found: { subjects: Subjects; system: SystemIdentity & { lsn: Lsn }; slot: Slot; catalogs: string },
  scope: Scope,
  fail: (error: unknown) => void,
) {
  const { witness, now, fenced = true } = options;
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
  const taken = await takeOver({ core, store, coreJsm, storeJsm, ...found, witnessed: witness.ends });
  const publisher = (nc: NatsConnection, stream: StreamName, lastSequence: number) => {
    const made = new FencedPublisher(
      { nc, stream, lastSequence, inboxPrefix: serviceInbox("bridge"), now, onFailed: fail, fenced },
      (messages, isBatch) => options.onPublished(stream, messages, isBatch),
    );
    scope.defer(`publisher of ${stream}`, () => made.close());
    return made;
  };
  const queue = await readStoredQueue(store, storeJsm, found.subjects);
  const graph = publisher(core, "GRAPH", taken.graphSequence);
  const records = publisher(store, "RECORDS", taken.recordsSequence);
  scope.defer("witness", () => {
    witness.ends = { graph: graph.storedSequence, records: records.storedSequence };
  });
  return {
    core,
    coreJsm,
    storeJsm,
    /** Bytes of a message that both servers take. */
    maxPayload: Math.min(core.info?.max_payload ?? 0, store.info?.max_payload ?? 0),
    taken,
    graph,
    records,
    graphLog: publisher(core, "GRAPHLOG", taken.graphLogSequence),
    queue: publisher(store, "QUEUE", queue.lastSequence),
    storedQueue: queue.entries,
  };
}
