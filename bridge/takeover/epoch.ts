/**
 * Which epoch a new leader is in: the last one goes on while it is proven that both streams still hold all that they ever acknowledged,
 * of the same database. Anything else begins a new epoch, which readers can tell. Pure.
 *
 *   database restored or another one   ──► positions of before mean nothing   ┐
 *   slot lost, or moved by hand        ──► commits may be in no stream        │
 *   publications or tables changed     ──► commits may not have been decoded  │
 *   stream shorter, or with a hole     ──► acknowledged messages are gone     ├─► epoch + 1
 *   server restarted, nobody saw it    ──► may have lost its unsynced end     │
 *   graph log cut short                ──► routes of then cannot be had back  ┘
 */
import type { Lsn } from "../../core/lsn.ts";
import type { SystemIdentity } from "../postgres/slot.ts";

export type Evidence = {
  /** What the streams say; null = nothing yet. */
  graph: { epoch: number; system: SystemIdentity } | null;
  records: { epoch: number; system: SystemIdentity; server: string; catalogs?: string } | null;
  database: SystemIdentity & { lsn: Lsn };
  /** The greatest position that RECORDS holds; null = none. */
  storedLsn: Lsn | null;
  hasHole: boolean;
  /** `confirmed`: PostgreSQL has forgotten what was committed before. */
  slot: { isNew: boolean; confirmed: Lsn };
  /** What decides how commits are decoded (`CatalogWatch`), as it is now; the streams say how it was. */
  catalogs?: string;
  /** Up to where a bridge said that all is stored, before it confirmed any of it; null = GRAPHLOG does not tell. */
  saidStored: Lsn | null;
  /** GRAPHLOG tells how to put the graph back to before the first commit that must be repeated. */
  graphLogReaches: boolean;
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
  | "slot was moved"
  | "publications changed"
  | "stream has a hole"
  | "stream went back"
  | "server restarted unseen"
  | "streams disagree"
  | "graph log cut short";

export type Epoch = {
  epoch: number;
  /** Why it is a new one; null = the last goes on. */
  reason: EpochReason | null;
  /** Positions in RECORDS are of this database's WAL: events up to there need not be repeated. */
  positionsHold: boolean;
  /** And every commit behind what the streams surely hold comes again. */
  commitsHold: boolean;
};

export function decideEpoch(evidence: Evidence): Epoch {
  const last = Math.max(evidence.graph?.epoch ?? 0, evidence.records?.epoch ?? 0);
  const reason = reasonOf(evidence);
  const positionsHold = reason !== "another database" && reason !== "database went back" && reason !== "first start";
  const { graph, records, slot, saidStored } = evidence;
  const slotHolds = !slot.isNew && saidStored !== null && slot.confirmed <= saidStored;
  // Where a bridge ended while it began an epoch, nobody knows for which reason.
  const commitsHold = positionsHold && slotHolds && !catalogsChanged(evidence) && graph?.epoch === records?.epoch;
  return { epoch: reason === null ? last : last + 1, reason, positionsHold, commitsHold };
}

function reasonOf(evidence: Evidence): EpochReason | null {
  const { graph, records, database, storedLsn, slot, saidStored } = evidence;
  if (!graph && !records) return "first start";
  for (const said of [graph?.system, records?.system]) {
    if (said && (said.id !== database.id || said.timeline !== database.timeline)) return "another database";
  }
  if (storedLsn !== null && database.lsn < storedLsn) return "database went back";
  if (slot.isNew) return "slot lost";
  // No bridge confirms what none has said to be stored: the slot was created again by hand, or advanced.
  if (saidStored !== null && slot.confirmed > saidStored) return "slot was moved";
  if (catalogsChanged(evidence)) return "publications changed";
  if (evidence.hasHole) return "stream has a hole";
  if (!graph || !records || graph.epoch !== records.epoch) return "streams disagree";
  const isCutShort = saidStored === null || !evidence.graphLogReaches;
  return lossOf(evidence) ?? (isCutShort ? "graph log cut short" : null);
}

/** Bridges of before did not say it: that is no difference. */
function catalogsChanged({ catalogs, records }: Evidence): boolean {
  return catalogs !== undefined && records?.catalogs !== undefined && catalogs !== records.catalogs;
}

function lossOf({ server, records, ends, witnessed }: Evidence): EpochReason | null {
  if (witnessed) return ends.graph < witnessed.graph || ends.records < witnessed.records ? "stream went back" : null;
  // With copies elsewhere a restart of one server loses nothing.
  return server.replicas === 1 && server.id !== records?.server ? "server restarted unseen" : null;
}
