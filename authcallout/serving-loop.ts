/**
 * Checks ten times a second what time alone changes: whether this replica accepts logins (queue-group.ts), which leases and tokens have
 * expired, and whether the graph is so old that sessions end. main.ts starts it.
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
   * Milliseconds since the graph was last known to be complete. Not the graph's age, which is infinite for a moment whenever the connection
   * moves to another nats-server: that must end no session.
   */
  overdue: () => number;
  /** Is the graph young enough for logins? */
  isFit: () => boolean;
  /** Milliseconds of age above which sessions end. */
  endsAt: number;
  /** Sessions that may continue with a stale graph. */
  spared: (session: SessionName) => boolean;
  /** This replica has begun to lead. */
  onLead?: () => void;
  /** UTC milliseconds. */
  now: () => number;
  log: Logger;
};

const CHECK_MS = 100;
/** A lease that is lost for less than this is back before waiting logins time out. */
const LAPSE_TOLERATED_MS = 750;
/** After so long without a check the process was suspended, or its host slept. */
const SUSPENDED_MS = 1_000;
/** A process that was suspended first reads what it missed, perhaps over new connections: graph and leases are not as old as they seem. */
const CATCH_UP_MS = 5_000;

export class ServingLoop {
  readonly #parts: ServingLoopParts;
  #timer: NodeJS.Timeout | null = null;
  #wasFit: boolean;
  #ending = false;
  #led = false;
  #checkedAt: number;
  /** When sessions end because of the graph's age; null while it is young enough. */
  #endsFrom: number | null = null;

  constructor(parts: ServingLoopParts) {
    this.#parts = parts;
    this.#wasFit = parts.isFit();
    this.#checkedAt = parts.now();
  }

  start(): void {
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
  }

  #check(): void {
    const { member, enforcer, isFit, onLead } = this.#parts;
    const fit = isFit();
    // The lease tells the other replicas whether this one is fit, so it is sent as soon as that changes.
    if (fit !== this.#wasFit) member.renew();
    this.#wasFit = fit;
    this.#joinOrLeave(fit);
    enforcer.consider();
    enforcer.closeLapsed();
    enforcer.endWithTokens();
    // While there was no leader, no session was notified.
    const leads = member.leads();
    if (leads && !this.#led) {
      enforcer.tellOutgrown();
      onLead?.();
    }
    this.#led = leads;
    // If BARRIER cannot be reached there is no lease and no leader: then every replica ends the sessions.
    const mine = leads || member.replicas() === 0;
    if (this.#isTooOld() && mine) void this.#endStale();
  }

  #isTooOld(): boolean {
    const { overdue, endsAt, now } = this.#parts;
    const at = now();
    const wasSuspended = at - this.#checkedAt > SUSPENDED_MS;
    this.#checkedAt = at;
    if (overdue() <= endsAt) this.#endsFrom = null;
    else this.#endsFrom ??= wasSuspended ? at + CATCH_UP_MS : at;
    return this.#endsFrom !== null && at >= this.#endsFrom;
  }

  #joinOrLeave(fit: boolean): void {
    const { member, group, log } = this.#parts;
    const serving = member.lapsedFor() < LAPSE_TOLERATED_MS;
    if (shouldAcceptLogins({ serving, fit, anotherIsFit: member.anotherIsFit() })) {
      if (member.mayAnswer()) group.join();
    } else if (group.isIn) {
      log.warn({ fit, serving }, "this replica's graph is stale or its lease is lost: it accepts no more logins");
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
