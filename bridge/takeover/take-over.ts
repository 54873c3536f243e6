/** A new leader takes the streams over: shuts out what an older one has under way, reads back what they hold, decides the epoch. */
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
  witnessed: StreamEnds | null;
};

export type TakeOverResult = Epoch & {
  graphRows: Map<string, GraphChange>;
  /** The last event in RECORDS. */
  storedEvent: StoredEvent | null;
  /** How to put `graphRows` back to where PostgreSQL begins; null = what comes again is routed by the graph as read now. */
  undo: Undo | null;
  /** Nothing that GRAPH has held is of a commit behind this one. */
  graphUpTo: Lsn;
  /** How far everything is known to be stored. */
  saidStored: Lsn;
  trouble: HandlingFailure | null;
  /** Last sequences, with our entries. */
  graphSequence: number;
  graphLogSequence: number;
  recordsSequence: number;
};

export async function takeOver(parts: TakeOverParts): Promise<TakeOverResult> {
  const { core, store, coreJsm, storeJsm, subjects, system, slot, catalogs, witnessed } = parts;
  const leadOf = async (stream: StreamName, subject: string): Promise<number> => {
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
  const graphSequence = await leadOf("GRAPH", subjects.graphLeader);
  // Behind GRAPH's: what an older leader still gets in here is of a commit that GRAPH refuses, and changes nothing when put back.
  const graphLogSequence = await leadOf("GRAPHLOG", subjects.graphLogLeader);
  const stored = await readStoredGraph(core, coreJsm, subjects);
  // Back to where PostgreSQL begins: what comes from there on brings the graph forward again, commit by commit.
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
        saidStored: log.saidStored,
        graphLogReaches: log.undo !== null,
        server: { id: server, replicas: read.replicas },
        ends: { graph: graphSequence - 1, records: read.lastSequence },
        witnessed,
      });
      return { ...read, decided };
    },
    ({ leader, decided, last }, sequence) => {
      const goesOn = decided.reason === null && leader !== null;
      const entry: LeaderEntry = {
        epoch: decided.epoch,
        since: goesOn ? leader.since : sequence,
        resume: goesOn ? leader.resume : decided.positionsHold ? (last?.sequence ?? 0) : 0,
        reason: goesOn ? leader.reason : (decided.reason ?? ""),
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
    saidStored: decided.commitsHold ? laterLsn(log.saidStored ?? 0n, slot.confirmed) : slot.confirmed,
    trouble: log.trouble,
    graphSequence,
    graphLogSequence,
    recordsSequence: records.sequence,
  };
}
