/** Reads GRAPH and QUEUE back for a new leader, and compares GRAPH with the database. */
import { type JetStreamManager, type JsMsg, jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { fault } from "../../core/errors.ts";
import { parseLsn } from "../../core/lsn.ts";
import type { GraphChange, Replacement } from "../../core/rows.ts";
import type { Subjects } from "../../core/subjects.ts";
import { type CommitEntry, parseCommitEntry, parseGraphEntry } from "../../core/wire/graph-entry.ts";
import { HEADER } from "../../core/wire/wire.ts";
import { followStream } from "../../runtime/nats/stream-follower.ts";
import { GRAPH_LOG_HEADER, type NewestOfGraph } from "../streams/graph-log.ts";

export type StoredGraph = {
  rows: Map<string, GraphChange>;
  commit: CommitEntry | null;
  /** Null: there are only leaders' entries. */
  newest: NewestOfGraph | null;
};

export async function readStoredGraph(
  nc: NatsConnection,
  jsm: JetStreamManager,
  subjects: Subjects,
): Promise<StoredGraph> {
  const stored: StoredGraph = { rows: new Map(), commit: null, newest: null };
  await readWhole(nc, jsm, "GRAPH", (message) => {
    if (message.subject !== subjects.graphLeader) stored.newest = newestOf(message);
    if (message.subject === subjects.graphCommit) stored.commit = parseCommitEntry(message.string());
    const change = parseGraphEntry(message.subject, message.string());
    if (change) stored.rows.set(`${change.kind}:${change.uuid}`, change);
  });
  return stored;
}

function newestOf({ seq, headers }: JsMsg): NewestOfGraph {
  const log = headers?.get(GRAPH_LOG_HEADER);
  return {
    sequence: seq,
    epoch: Number(headers?.get(HEADER.epoch)),
    lsn: parseLsn(headers?.get(HEADER.lsn) || "0/0"),
    log: log ? Number(log) : null,
  };
}

/** Queue entries as JSON text by container, and the stream's last sequence. */
export async function readStoredQueue(
  nc: NatsConnection,
  jsm: JetStreamManager,
  { queuedContainer }: Subjects,
): Promise<{ entries: Map<string, string>; lastSequence: number }> {
  const { state } = await jsm.streams.info("QUEUE");
  const entries = new Map<string, string>();
  if (state.messages > 0) {
    await readWhole(nc, jsm, "QUEUE", (message) => {
      entries.set(queuedContainer(message.subject), message.string());
    });
  }
  return { entries, lastSequence: state.last_seq };
}

/** Passes every message that the stream holds now to `onMessage`. A leader's term ends with its connection, and so does this. */
async function readWhole(
  nc: NatsConnection,
  jsm: JetStreamManager,
  stream: "GRAPH" | "QUEUE",
  onMessage: (message: JsMsg) => void,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const follower = followStream({
      js: jetstream(nc),
      jsm,
      nc,
      stream,
      onMessage,
      onCaughtUp: () => {
        void follower.stop();
        resolve();
      },
      onFailure({ sequence, reason }) {
        void follower.stop();
        reject(fault("stream.unreadable", { stream, sequence, reason }));
      },
      onTrouble(reason) {
        if (!nc.isClosed()) return;
        void follower.stop();
        reject(fault("nats.lost", { account: stream === "GRAPH" ? "CORE" : "STORE" }, { cause: reason }));
      },
    });
  });
}

/** The changes that turn what GRAPH holds into `wanted`. Pure. */
export function graphDifference(
  stored: ReadonlyMap<string, GraphChange>,
  wanted: Iterable<GraphChange>,
): Replacement[] {
  const out: Replacement[] = [];
  const seen = new Set<string>();
  for (const change of wanted) {
    const key = `${change.kind}:${change.uuid}`;
    seen.add(key);
    const replaced = stored.get(key)?.row ?? null;
    if (JSON.stringify(replaced) !== JSON.stringify(change.row)) out.push({ ...change, replaced } as Replacement);
  }
  for (const [key, change] of stored) {
    if (change.row !== null && !seen.has(key)) out.push({ ...change, row: null, replaced: change.row } as Replacement);
  }
  return out;
}
