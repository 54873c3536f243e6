/**
 * A new leader takes the streams over: it fences out an older leader, reads back what the streams hold, and decides the epoch.
 * `term-streams.ts` calls it once for each term.
 */
import { type JetStreamManager, jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { type Lsn, laterLsn } from "../../core/lsn.ts";
import type { GraphChange } from "../../core/rows.ts";
import type { Subjects } from "../../core/subjects.ts";
import type { LeaderEntry } from "../../core/wire/wire.ts";
import type { StreamName } from "../../streams-config/accounts.ts";
import type { Slot, SystemIdentity } from "../postgres/slot.ts";
import type { StoredEvent } from "../streams/commit-units.ts";
import type { Undo } from "../streams/graph-log.ts";
import type { HandlingFailure } from "../streams/handling-failure.ts";
import { decideEpoch, type Epoch, type StreamEnds } from "./epoch.ts";
import { writeLeaderEntry } from "./leader-entry.ts";
import { readGraphLog } from "./stored-graph-log.ts";
import { readStoredRecords } from "./stored-records.ts";
import { readStoredGraph } from "./stored-state.ts";

export type TakeOverParts = {
  core: NatsConnection;
  store: NatsConnection;
  coreJsm: JetStreamManager;
  storeJsm: JetStreamManager;
  subjects: Subjects;
  system: SystemIdentity & { lsn: Lsn };
  slot: Slot;
  /** Fingerprint of what decides how commits are decoded. */
  catalogs: string;
  seenWhileLeading: StreamEnds | null;
};

export type TakeOverResult = Epoch & {
  graphRows: Map<string, GraphChange>;
  /** The last event in RECORDS. */
  storedEvent: StoredEvent | null;
  /** How to put `graphRows` back to where PostgreSQL begins; null = repeated commits are routed by the present graph. */
  undo: Undo | null;
  /** GRAPH has held nothing of a later commit. */
  graphUpTo: Lsn;
  /** All streams hold everything up to here. */
  declaredStored: Lsn;
  failure: HandlingFailure | null;
  /** Last sequences, with our entries. */
  graphSequence: number;
  graphLogSequence: number;
  recordsSequence: number;
};

export async function takeOver(parts: TakeOverParts): Promise<TakeOverResult> {
  const { core, store, coreJsm, storeJsm, subjects, system, slot, catalogs, seenWhileLeading } = parts;
  const enter = async (stream: StreamName, subject: string): Promise<number> => {
    const entry = { stream, subject, body: "{}" };
    const { sequence } = await writeLeaderEntry(
      core,
      coreJsm,
      stream,
      async () => {},
      () => entry,
    );
    return sequence;
  };
  const graphSequence = await enter("GRAPH", subjects.graphLeader);
  // After GRAPH: what an older leader can still write here is of a commit that GRAPH refuses, and putting it back changes nothing.
  const graphLogSequence = await enter("GRAPHLOG", subjects.graphLogLeader);
  const stored = await readStoredGraph(core, coreJsm, subjects);
  // Back to where PostgreSQL begins: the commits from there on bring the graph forward again.
  const log = await readGraphLog(core, coreJsm, subjects, { target: slot.confirmed, newest: stored.newest });
  const server = store.info?.server_id ?? "";

  const records = await writeLeaderEntry(
    store,
    storeJsm,
    "RECORDS",
    async () => {
      const read = await readStoredRecords(jetstream(store), storeJsm, subjects, slot.confirmed);
      const decided = decideEpoch({
        graph: stored.commit,
        records: read.leader,
        database: system,
        storedLsn: read.last?.lsn ?? null,
        hasHole: read.hasHole,
        slot,
        catalogs,
        declaredStored: log.declaredStored,
        graphLogReaches: log.undo !== null,
        server: { id: server, replicas: read.replicas },
        ends: { graph: graphSequence - 1, records: read.lastSequence },
        seenWhileLeading,
      });
      return { ...read, decided };
    },
    ({ leader, decided, last }, sequence) => {
      const isSameEpoch = decided.reason === null && leader !== null;
      const entry: LeaderEntry = {
        epoch: decided.epoch,
        since: isSameEpoch ? leader.since : sequence,
        resume: isSameEpoch ? leader.resume : decided.positionsHold ? (last?.sequence ?? 0) : 0,
        reason: isSameEpoch ? leader.reason : (decided.reason ?? ""),
        system: { id: system.id, timeline: system.timeline },
        server,
        catalogs,
      };
      return { stream: "RECORDS", subject: subjects.recordsLeader, body: JSON.stringify(entry) };
    },
  );
  const { decided, last } = records.read;
  return {
    ...decided,
    graphRows: stored.rows,
    storedEvent: last,
    undo: decided.commitsHold ? log.undo : null,
    graphUpTo: log.upTo,
    declaredStored: decided.commitsHold ? laterLsn(log.declaredStored ?? 0n, slot.confirmed) : slot.confirmed,
    failure: log.failure,
    graphSequence,
    graphLogSequence,
    recordsSequence: records.sequence,
  };
}
