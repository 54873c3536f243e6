/**
 * Which epoch a new leader is in: the last one goes on while it is proven that both streams still hold all that they ever acknowledged,
 * of the same database. Anything else begins a new epoch, which readers can tell. Pure.
 *
 *   database restored or another one   ──► positions of before mean nothing   ┐
 *   slot lost                          ──► commits may be in no stream        ├─► epoch + 1
 *   stream shorter, or with a hole     ──► acknowledged messages are gone     │
 *   server restarted, nobody saw it    ──► may have lost its unsynced end     ┘
 */
import type { Lsn } from "../core/lsn.ts";

export type Place = { id: string; timeline: number };

export type Evidence = {
  /** What the streams say; null = nothing yet. */
  graph: { epoch: number; system: Place } | null;
  records: { epoch: number; system: Place; server: string } | null;
  database: Place & { lsn: Lsn };
  /** The greatest position that RECORDS holds; null = none. */
  storedLsn: Lsn | null;
  hasHole: boolean;
  slotIsNew: boolean;
  /** Which start of nats-server answers, and whether others hold copies of what it acknowledges. */
  server: { id: string; replicas: number };
  ends: StreamEnds;
  /** What this process saw acknowledged while it led before; null = it has not led. */
  witnessed: StreamEnds | null;
};

/** Last sequences. */
export type StreamEnds = { graph: number; records: number };

export type EpochReason =
  | "first start"
  | "another database"
  | "database went back"
  | "slot lost"
  | "stream has a hole"
  | "stream went back"
  | "server restarted unseen"
  | "streams disagree";

export type Epoch = {
  epoch: number;
  /** Why it is a new one; null = the last goes on. */
  reason: EpochReason | null;
  /** Positions in RECORDS are of this database's WAL: events up to there need not be repeated. */
  positionsHold: boolean;
};

export function decideEpoch(evidence: Evidence): Epoch {
  const last = Math.max(evidence.graph?.epoch ?? 0, evidence.records?.epoch ?? 0);
  const reason = reasonOf(evidence);
  const positionsHold = reason !== "another database" && reason !== "database went back" && reason !== "first start";
  return reason === null ? { epoch: last, reason, positionsHold } : { epoch: last + 1, reason, positionsHold };
}

function reasonOf(evidence: Evidence): EpochReason | null {
  const { graph, records, database, storedLsn, server, ends, witnessed } = evidence;
  if (!graph && !records) return "first start";
  for (const said of [graph?.system, records?.system]) {
    if (said && (said.id !== database.id || said.timeline !== database.timeline)) return "another database";
  }
  if (storedLsn !== null && database.lsn < storedLsn) return "database went back";
  if (evidence.slotIsNew) return "slot lost";
  if (evidence.hasHole) return "stream has a hole";
  if (!graph || !records || graph.epoch !== records.epoch) return "streams disagree";
  if (witnessed) return ends.graph < witnessed.graph || ends.records < witnessed.records ? "stream went back" : null;
  // With copies elsewhere a restart of one server loses nothing.
  return server.replicas === 1 && server.id !== records.server ? "server restarted unseen" : null;
}
