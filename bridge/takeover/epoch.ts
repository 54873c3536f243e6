/**
 * Decides the epoch of a new leader. It stays the same while both streams provably hold everything that they ever acknowledged, of the same
 * database. Otherwise it grows by one, which readers notice. Pure; `take-over.ts` collects the evidence.
 *
 *   another database, or a restored one  ──► older positions mean nothing             ┐
 *   slot lost, or moved by hand          ──► commits may be in no stream              │
 *   publications or tables changed       ──► commits may not have been decoded        │
 *   stream shorter, or with a hole       ──► acknowledged messages are gone           ├─► epoch + 1
 *   server restarted while nobody led    ──► it may have lost its unsynced end        │
 *   graph log cut short                  ──► repeated commits cannot be routed again  ┘
 */
import type { Lsn } from "../../core/lsn.ts";
import type { SystemIdentity } from "../postgres/slot.ts";

export type Evidence = {
  /** The last entries in the streams; null = there is none. */
  graph: { epoch: number; system: SystemIdentity } | null;
  records: { epoch: number; system: SystemIdentity; server: string; catalogs?: string } | null;
  database: SystemIdentity & { lsn: Lsn };
  /** The greatest position that RECORDS holds; null = none. */
  storedLsn: Lsn | null;
  hasHole: boolean;
  /** `confirmed`: PostgreSQL has forgotten earlier commits. */
  slot: { isNew: boolean; confirmed: Lsn };
  /** Fingerprint of what decides how commits are decoded (`CatalogWatch`), as of now; `records` has the former one. */
  catalogs?: string;
  /** All streams hold everything up to here: written before it is confirmed; null = GRAPHLOG has no such entry. */
  declaredStored: Lsn | null;
  /** By GRAPHLOG the graph can be put back to before the first commit that must be repeated. */
  graphLogReaches: boolean;
  /** Which start of nats-server answers, and whether others hold copies of what it acknowledges. */
  server: { id: string; replicas: number };
  ends: StreamEnds;
  /** What this process saw acknowledged in its last term; null = it has not led. */
  seenWhileLeading: StreamEnds | null;
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
  /** Why it is a new one; null = it is the last one. */
  reason: EpochReason | null;
  /** Positions in RECORDS are positions of this database: events up to there need not be repeated. */
  positionsHold: boolean;
  /** And PostgreSQL sends every commit again that the streams may not hold. */
  commitsHold: boolean;
};

export function decideEpoch(evidence: Evidence): Epoch {
  const last = Math.max(evidence.graph?.epoch ?? 0, evidence.records?.epoch ?? 0);
  const reason = reasonOf(evidence);
  const positionsHold = reason !== "another database" && reason !== "database went back" && reason !== "first start";
  const { graph, records, slot, declaredStored } = evidence;
  const slotHolds = !slot.isNew && declaredStored !== null && slot.confirmed <= declaredStored;
  // If a bridge ended while it began an epoch, its reason is not known.
  const commitsHold = positionsHold && slotHolds && !catalogsChanged(evidence) && graph?.epoch === records?.epoch;
  return { epoch: reason === null ? last : last + 1, reason, positionsHold, commitsHold };
}

function reasonOf(evidence: Evidence): EpochReason | null {
  const { graph, records, database, storedLsn, slot, declaredStored } = evidence;
  if (!graph && !records) return "first start";
  for (const system of [graph?.system, records?.system]) {
    if (system && (system.id !== database.id || system.timeline !== database.timeline)) return "another database";
  }
  if (storedLsn !== null && database.lsn < storedLsn) return "database went back";
  if (slot.isNew) return "slot lost";
  // A bridge confirms only what is declared as stored: the slot was created again by hand, or advanced.
  if (declaredStored !== null && slot.confirmed > declaredStored) return "slot was moved";
  if (catalogsChanged(evidence)) return "publications changed";
  if (evidence.hasHole) return "stream has a hole";
  if (!graph || !records || graph.epoch !== records.epoch) return "streams disagree";
  const isCutShort = declaredStored === null || !evidence.graphLogReaches;
  return lossOf(evidence) ?? (isCutShort ? "graph log cut short" : null);
}

/** Older bridges wrote no fingerprint: that is no difference. */
function catalogsChanged({ catalogs, records }: Evidence): boolean {
  return catalogs !== undefined && records?.catalogs !== undefined && catalogs !== records.catalogs;
}

function lossOf({ server, records, ends, seenWhileLeading: seen }: Evidence): EpochReason | null {
  if (seen) return ends.graph < seen.graph || ends.records < seen.records ? "stream went back" : null;
  // With stream replicas the restart of one server loses nothing.
  return server.replicas === 1 && server.id !== records?.server ? "server restarted unseen" : null;
}
