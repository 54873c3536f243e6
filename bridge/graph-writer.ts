/** Writes the permission graph into GRAPH: rows, then the entry that ends the commit. Its sequence is the commit's revision. */
import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
import { type CommitEntry, formatGraphEntry, parseGraphEntry } from "../core/graph-entry.ts";
import { formatLsn, type Lsn } from "../core/lsn.ts";
import type { Revision } from "../core/revision.ts";
import type { GraphChange } from "../core/rows.ts";
import type { Subjects } from "../core/subjects.ts";
import { HEADER } from "../core/wire.ts";
import { followStream } from "../runtime/stream-follower.ts";
import { FencedPublisher } from "./publisher.ts";

const STREAM = "GRAPH";

/** What GRAPH held when this bridge became the leader. */
export type StoredGraph = { rows: Map<string, GraphChange>; commit: CommitEntry | null; lastSequence: number };

export async function readStoredGraph(
  js: JetStreamClient,
  jsm: JetStreamManager,
  subjects: Subjects,
): Promise<StoredGraph> {
  const info = await jsm.streams.info(STREAM);
  const stored: StoredGraph = { rows: new Map(), commit: null, lastSequence: info.state.last_seq };
  await new Promise<void>((resolve) => {
    const follower = followStream({
      js,
      jsm,
      stream: STREAM,
      onMessage: (message) => {
        if (message.subject === subjects.graphCommit) stored.commit = message.json<CommitEntry>();
        const change = parseGraphEntry(message.subject, message.string());
        if (change) stored.rows.set(`${change.kind}:${change.uuid}`, change);
      },
      onCaughtUp: () => {
        void follower.stop();
        resolve();
      },
    });
  });
  return stored;
}

/** The changes that turn what GRAPH holds into `wanted`. Pure. */
export function graphDifference(
  stored: ReadonlyMap<string, GraphChange>,
  wanted: Iterable<GraphChange>,
): GraphChange[] {
  const out: GraphChange[] = [];
  const seen = new Set<string>();
  for (const change of wanted) {
    const key = `${change.kind}:${change.uuid}`;
    seen.add(key);
    const old = stored.get(key);
    if (JSON.stringify(old?.row ?? null) !== JSON.stringify(change.row)) out.push(change);
  }
  for (const [key, change] of stored) {
    if (change.row !== null && !seen.has(key)) out.push({ ...change, row: null });
  }
  return out;
}

export class GraphWriter {
  readonly #publisher: FencedPublisher;
  readonly #subjects: Subjects;
  readonly #place: Pick<CommitEntry, "epoch" | "system">;
  #revision: Revision;

  constructor(
    js: JetStreamClient,
    subjects: Subjects,
    place: Pick<CommitEntry, "epoch" | "system">,
    lastSequence: number,
  ) {
    this.#publisher = new FencedPublisher(js, STREAM, lastSequence);
    this.#subjects = subjects;
    this.#place = place;
    this.#revision = { epoch: place.epoch, sequence: 0 };
  }

  get revision(): Revision {
    return this.#revision;
  }

  /** Resolves, once all of it is acknowledged, with the commit's revision. */
  async write(changes: readonly GraphChange[], lsn: Lsn, time: number): Promise<Revision> {
    const headers = { [HEADER.epoch]: String(this.#place.epoch), [HEADER.lsn]: formatLsn(lsn) };
    for (const change of changes) {
      const subject = this.#subjects.graph(change.kind, change.uuid);
      await this.#publisher.publish({ subject, headers, body: formatGraphEntry(change) });
    }
    const entry: CommitEntry = { ...this.#place, lsn: formatLsn(lsn), time };
    await this.#publisher.publish({ subject: this.#subjects.graphCommit, headers, body: JSON.stringify(entry) });
    await this.#publisher.flush();
    this.#revision = { epoch: this.#place.epoch, sequence: this.#publisher.lastSequence };
    return this.#revision;
  }
}
