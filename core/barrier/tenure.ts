/**
 * A replica's own leases, as it may rely on them:
 *
 *   outside ──send──► joining ──read back, graph at the last mark before it──► serving ──clock──► outside
 *                                        ▲                                        │
 *                                        └──────────────── renewal ───────────────┘
 *
 * *Each* lease, the first as every renewal, counts only once it has been read back from BARRIER and the graph stands at the last
 * mark before it, and then from when it was sent. So whatever is answered under a lease that stands behind a mark is answered by
 * the graph of that mark, however late others read the lease. A broken tenure is over: its leases, read back late, do not count,
 * not for answering and not for the place in the order. Pure.
 */
import type { Lease } from "./entry.ts";
import type { Timing } from "./timing.ts";

export type Tenure = {
  /** Leases sent before this are of a tenure that is over. */
  readonly begun: number;
  /** Sequence of the tenure's first lease; null before it is read back. */
  readonly since: number | null;
  /** Leases read back whose marks the graph has not reached. */
  readonly waiting: readonly { readonly sent: number; readonly mark: number }[];
  /** May answer while the clock is below this. */
  readonly until: number;
};

export type TenureState = "outside" | "joining" | "serving";

const NEVER = Number.NEGATIVE_INFINITY;
export const NO_TENURE: Tenure = { begun: NEVER, since: null, waiting: [], until: NEVER };

/** Whatever was held before is over. */
export function newTenure(now: number): Tenure {
  return { ...NO_TENURE, begun: now };
}

export function tenureState(tenure: Tenure, now: number): TenureState {
  if (now < tenure.until) return "serving";
  return tenure.waiting.length > 0 ? "joining" : "outside";
}

/** The lease to send now. A broken tenure begins again, behind all others. */
export function leaseToSend(tenure: Tenure, replica: string, fit: boolean, now: number): [Lease, Tenure] {
  const goesOn = tenureState(tenure, now) === "serving";
  const wasBroken = !goesOn && tenure.until !== NEVER;
  const since = goesOn ? tenure.since : null;
  const own = wasBroken ? newTenure(now) : { ...tenure, since };
  return [{ kind: "lease", replica, since, sent: now, fit, left: false }, own];
}

/** @param lastMark sequence of the last mark before the lease, 0 for none */
export function leaseReadBack(tenure: Tenure, lease: Lease, sequence: number, lastMark: number): Tenure {
  if (lease.sent < tenure.begun) return tenure;
  const since = tenure.since ?? lease.since ?? sequence;
  return { ...tenure, since, waiting: [...tenure.waiting, { sent: lease.sent, mark: lastMark }] };
}

/** The graph stands at the revision of the mark with this sequence. */
export function graphReached(tenure: Tenure, mark: number, time: Timing): Tenure {
  const waiting = tenure.waiting.filter((lease) => lease.mark > mark);
  const counting = tenure.waiting.filter((lease) => lease.mark <= mark);
  return { ...tenure, waiting, until: Math.max(tenure.until, ...counting.map(({ sent }) => sent + time.lease)) };
}
