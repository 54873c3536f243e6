/**
 * Looks, ten times a second, at what time alone changes: whether this replica takes logins (queue-group.ts), whose lease has run
 * out, whose token has, and whether the graph is so old that sessions end.
 */
import type { Logger } from "pino";
import type { SessionName } from "../core/session/session.ts";
import type { BarrierMember } from "./barrier/barrier-member.ts";
import { type QueueGroup, shouldAcceptLogins } from "./login/queue-group.ts";
import type { Enforcer } from "./revocation/enforcer.ts";

export type ServingLoopParts = {
  member: BarrierMember;
  enforcer: Enforcer;
  group: QueueGroup;
  /**
   * Milliseconds since sessions were last known to have what they may. Not the graph's age, which is infinite for a moment whenever
   * another nats-server answers: that is no reason to end anybody's session.
   */
  overdue: () => number;
  /** Is the graph young enough to let people in? */
  isFit: () => boolean;
  /** Milliseconds of age beyond which sessions end. */
  endsAt: number;
  /** Sessions that go on with a stale graph. */
  spared: (session: SessionName) => boolean;
  /** This replica has begun to lead. */
  onLead?: () => void;
  /** UTC milliseconds. */
  now: () => number;
  log: Logger;
};

const LOOK_MS = 100;
const LAPSE_BORNE_MS = 750;
/** After so long without a look the process was stopped, or the machine slept. */
const STOPPED_MS = 1_000;
/** Whoever was stopped reads first what has come since, perhaps over new connections: graph and leases are not as old as they seem. */
const CATCH_UP_MS = 5_000;

export class ServingLoop {
  readonly #parts: ServingLoopParts;
  #timer: NodeJS.Timeout | null = null;
  #wasFit: boolean;
  #ending = false;
  #led = false;
  #lookedAt: number;
  /** When sessions end for the graph's age; null while it is not that old. */
  #endsFrom: number | null = null;

  constructor(parts: ServingLoopParts) {
    this.#parts = parts;
    this.#wasFit = parts.isFit();
    this.#lookedAt = parts.now();
  }

  start(): void {
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
  }

  #look(): void {
    const { member, enforcer, isFit, onLead } = this.#parts;
    const fit = isFit();
    // Others see by the lease whether we are fit, so it is sent as soon as that changes.
    if (fit !== this.#wasFit) member.renew();
    this.#wasFit = fit;
    this.#joinOrLeave(fit);
    enforcer.consider();
    enforcer.closeLapsed();
    enforcer.endWithTokens();
    // While nobody led, nobody was told.
    const leads = member.leads();
    if (leads && !this.#led) {
      enforcer.tellOutgrown();
      onLead?.();
    }
    this.#led = leads;
    // With BARRIER out of reach nobody holds a lease, and nobody leads: then everyone ends what is stale.
    const mine = leads || member.replicas() === 0;
    if (this.#isTooOld() && mine) void this.#endStale();
  }

  #isTooOld(): boolean {
    const { overdue, endsAt, now } = this.#parts;
    const at = now();
    const wasStopped = at - this.#lookedAt > STOPPED_MS;
    this.#lookedAt = at;
    if (overdue() <= endsAt) this.#endsFrom = null;
    else this.#endsFrom ??= wasStopped ? at + CATCH_UP_MS : at;
    return this.#endsFrom !== null && at >= this.#endsFrom;
  }

  #joinOrLeave(fit: boolean): void {
    const { member, group, log } = this.#parts;
    // A lease that was lost for a moment is back before those who wait give up.
    const serving = member.lapsedFor() < LAPSE_BORNE_MS;
    if (shouldAcceptLogins({ serving, fit, anotherIsFit: member.anotherIsFit() })) {
      if (member.mayAnswer()) group.join();
    } else if (group.isIn) {
      log.warn({ fit, serving }, "this replica's graph is stale or its lease is lost: it takes no more logins");
      if (serving) void group.leave();
      else group.drop();
    }
  }

  async #endStale(): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    await this.#parts.enforcer.endAll("graphStale", this.#parts.spared).catch(() => undefined);
    this.#ending = false;
  }
}
