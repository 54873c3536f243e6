/**
 * The permission graph as of one whole commit, read by batched direct gets and without a consumer: for commands that ask once and end.
 * Services follow GRAPH instead (permission-replica.ts).
 *
 * GRAPH keeps the last message of each subject, so a commit replaces messages while they are read, and any replica of the stream may
 * answer, also one that lags. What was read counts once the stream's leader says that the stream ends with it, and with the entry that
 * ends a commit: then no answer came from a later state, and every message that was left has been read.
 */
import type { JetStreamManager } from "@nats-io/jetstream";
import { fault } from "../core/errors.ts";
import { PermissionGraph } from "../core/graph/permission-graph.ts";
import type { GraphOptions } from "../core/graph-types.ts";
import type { Revision } from "../core/revision.ts";
import { type GraphChange, permissionChanges } from "../core/rows.ts";
import type { Subjects } from "../core/subjects.ts";
import { parseCommitEntry, readGraphEntry } from "../core/wire/graph-entry.ts";
import { sleep } from "../runtime/sleep.ts";

type LoadGraphOptions = {
  jsm: GraphStream;
  subjects: Subjects;
  graph: GraphOptions;
  /** Ends the waiting for a whole commit. */
  signal: AbortSignal;
};

export type GraphStream = {
  direct: Pick<JetStreamManager["direct"], "getBatch">;
  streams: Pick<JetStreamManager["streams"], "info">;
};

export type LoadedGraph = { graph: PermissionGraph; revision: Revision };

const STREAM = "GRAPH";
const BATCH = 1_000;
const WAIT_MS = 50;
const NOT_FOUND = 404;

/** @throws graph.empty once the signal is aborted, and what nats-server refuses */
export async function loadGraph({ jsm, subjects, graph: options, signal }: LoadGraphOptions): Promise<LoadedGraph> {
  let read = new GraphRead(subjects);
  while (!signal.aborted) {
    const { state } = await jsm.streams.info(STREAM);
    if (state.last_seq === read.last && read.revision) {
      const graph = new PermissionGraph(options);
      graph.load(permissionChanges(read.changes));
      return { graph, revision: read.revision };
    }
    // The stream was rolled back: the same sequences may hold other messages.
    if (state.last_seq < read.last) read = new GraphRead(subjects);
    const before = read.last;
    await read.next(jsm, signal);
    if (read.last === before) await sleep(WAIT_MS, signal);
  }
  throw fault("graph.empty", {});
}

/** What was read of GRAPH so far, in the order of the stream. */
class GraphRead {
  readonly changes: GraphChange[] = [];
  /** Sequence of the last message. */
  last = 0;
  /** Null where the last message is not the entry that ends a commit. */
  revision: Revision | null = null;
  readonly #subjects: Subjects;

  constructor(subjects: Subjects) {
    this.#subjects = subjects;
  }

  async next({ direct }: GraphStream, signal: AbortSignal): Promise<void> {
    const batch = await direct.getBatch(STREAM, { seq: this.last + 1, batch: BATCH });
    // The rest of an answer whose server is gone never comes.
    const stop = () => batch.stop();
    signal.addEventListener("abort", stop);
    try {
      for await (const message of batch) this.#add(message.subject, message.seq, message.string());
    } catch (error) {
      // The replica that answers has no message there yet.
      if ((error as { code?: unknown }).code !== NOT_FOUND) throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  #add(subject: string, sequence: number, body: string): void {
    const isEnd = subject === this.#subjects.graphCommit;
    const end = isEnd ? parseCommitEntry(body) : null;
    if (isEnd && !end) throw new Error("the entry that ends a commit has no epoch");
    this.revision = end && { epoch: end.epoch, sequence };
    this.last = sequence;
    const entry = isEnd ? null : readGraphEntry(subject, body);
    if (entry) this.changes.push(entry.change);
  }
}
