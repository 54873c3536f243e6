/**
 * This replica as a member of the barrier: follows BARRIER, holds its lease, and says what has been settled. What it means is
 * decided in core/barrier/; here is only what does it.
 */
import type { JetStreamClient, JetStreamManager, JsMsg } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { type BarrierEntry, barrierSubject, formatBarrierEntry, parseBarrierEntry } from "../../core/barrier/entry.ts";
import {
  anotherIsFit,
  cuttable,
  EMPTY_ROSTER,
  lapsedConnections,
  leader,
  living,
  type Roster,
  readEntry,
  unsettled,
} from "../../core/barrier/roster.ts";
import {
  graphReached,
  leaseReadBack,
  leaseToSend,
  NO_TENURE,
  newTenure,
  type Tenure,
  tenureState,
} from "../../core/barrier/tenure.ts";
import { RENEW_MS, type Timing } from "../../core/barrier/timing.ts";
import { reasonOf } from "../../core/errors.ts";
import type { Revision } from "../../core/revision.ts";
import type { Subjects } from "../../core/subjects.ts";
import type { Alias } from "../../core/token/aliases.ts";
import type { PermissionReplica } from "../../replica/permission-replica.ts";
import { deferred } from "../../runtime/deferred.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { type FollowFailure, followStream, type StreamFollower } from "../../runtime/nats/stream-follower.ts";

export type ReachedMark = { sequence: number; revision: Revision };

export type BarrierMemberParts = {
  nc: NatsConnection;
  js: JetStreamClient;
  jsm: JetStreamManager;
  subjects: Subjects;
  /** A name that no other start of a replica has. */
  replica: string;
  timing: Timing;
  follower: Pick<PermissionReplica, "reached">;
  isFit: () => boolean;
  log: Logger;
  /** A removal is marked, and this replica's graph stands at it. */
  onMark: (mark: ReachedMark) => void;
  onServer: (name: string, id: string | null) => void;
  onAlias: (alias: Alias) => void;
  /** Something was read: who leads and what may be cut can have changed. */
  onChange: () => void;
  /** An entry could not be taken in: BARRIER is read again, and no login is answered before. */
  onFailure?: (failure: FollowFailure) => void;
};

const STREAM = "BARRIER";
const PUBLISH_TIMEOUT_MS = 1_000;
/** The wall clock may run ahead of the process' own by this much; above that, the host has slept. */
const SLEPT_MS = 500;

export class BarrierMember {
  readonly #parts: BarrierMemberParts;
  #roster: Roster = EMPTY_ROSTER;
  #tenure: Tenure = NO_TENURE;
  /** Sequence of the last mark at whose revision the graph stands. */
  #reached = 0;
  #caughtUp = deferred<void>();
  #follower: StreamFollower | null = null;
  #timer: NodeJS.Timeout | null = null;
  #drift = wallDrift();
  #left = false;

  constructor(parts: BarrierMemberParts) {
    this.#parts = parts;
  }

  get replica(): string {
    return this.#parts.replica;
  }

  /** What keeps BARRIER from being read; null where nothing does. */
  get failure(): FollowFailure | null {
    return this.#follower?.failure ?? null;
  }

  /** May a login be answered at this moment? */
  mayAnswer(): boolean {
    // The monotonic clock stops while a host sleeps, but the other replicas saw this lease expire.
    const drift = wallDrift();
    if (drift - this.#drift > SLEPT_MS) this.#tenure = newTenure(clock());
    this.#drift = drift;
    return tenureState(this.#tenure, clock()) === "serving";
  }

  /** Milliseconds since the lease ran out; 0 while it is held. */
  lapsedFor(): number {
    return this.mayAnswer() ? 0 : clock() - this.#tenure.until;
  }

  leads(): boolean {
    return leader(this.#roster, clock(), this.#parts.timing) === this.#parts.replica;
  }

  /** Sequence of the mark up to which the leader may cut now. */
  cuttable(): number | null {
    return cuttable(this.#roster, clock(), this.#parts.timing);
  }

  /** Whom the last mark waits for. */
  unsettled(): string[] {
    return unsettled(this.#roster, clock(), this.#parts.timing);
  }

  replicas(): number {
    return living(this.#roster, clock(), this.#parts.timing).length;
  }

  lapsedConnections(): { server: string; cid: number }[] {
    return lapsedConnections(this.#roster, clock(), this.#parts.timing);
  }

  anotherIsFit(): boolean {
    return anotherIsFit(this.#roster, this.#parts.replica, clock(), this.#parts.timing);
  }

  /** Resolves once the stream is read; the lease follows by itself. */
  async start(): Promise<void> {
    const { js, jsm, nc, subjects, log } = this.#parts;
    this.#follower = followStream({
      js,
      jsm,
      stream: STREAM,
      filter: subjects.barrierAll,
      from: "lastPerSubject",
      nc,
      // No login is answered while our own lease is not read back.
      urgent: true,
      onMessage: (message) => this.#read(message),
      onCaughtUp: () => this.#caughtUp.resolve(),
      onReset: () => this.#forget(),
      onTrouble: (reason) => log.warn({ reason }, "the barrier's stream is disturbed; following again"),
      onFailure: (failure) => this.#parts.onFailure?.(failure),
    });
    await this.#caughtUp.promise;
    this.renew();
    this.#timer = setInterval(() => this.renew(), RENEW_MS);
  }

  /** Sends a lease now: at its time, and when something in it has changed. */
  renew(): void {
    // What a snapshot of the stream shows does not tell which marks stood before a lease.
    if (this.#left || !this.#caughtUp.settled) return;
    const { replica, isFit, nc } = this.#parts;
    const [lease, tenure] = leaseToSend(this.#tenure, replica, isFit(), clock());
    this.#tenure = tenure;
    const at = nc.info && { at: { server: nc.info.server_id, cid: nc.info.client_id } };
    void this.publish({ ...lease, ...at }).catch(() => undefined);
  }

  /** Resolves once BARRIER holds the entry. */
  async publish(entry: BarrierEntry): Promise<void> {
    const { js, subjects, log } = this.#parts;
    try {
      await js.publish(barrierSubject(subjects, entry), formatBarrierEntry(entry), { timeout: PUBLISH_TIMEOUT_MS });
    } catch (error) {
      log.debug({ reason: reasonOf(error), kind: entry.kind }, "an entry of the barrier was not taken");
      throw error;
    }
  }

  /** No login is answered any more, and none that was can still become a session. */
  async leave(): Promise<void> {
    this.#left = true;
    this.#tenure = NO_TENURE;
    const { replica } = this.#parts;
    await this.publish({ kind: "lease", replica, since: null, sent: clock(), fit: false, left: true }).catch(
      () => undefined,
    );
  }

  async stop(): Promise<void> {
    this.#left = true;
    if (this.#timer) clearInterval(this.#timer);
    await this.#follower?.stop();
  }

  #read(message: JsMsg): void {
    const entry = parseBarrierEntry(message.string());
    if (!entry) return;
    const { replica, timing, onServer, onAlias, onChange } = this.#parts;
    this.#roster = readEntry(this.#roster, entry, message.seq, clock(), timing);
    if (entry.kind === "mark") this.#marked({ sequence: message.seq, revision: entry.revision });
    if (entry.kind === "server") onServer(entry.name, entry.id);
    if (entry.kind === "alias") onAlias(entry);
    if (entry.kind === "lease" && entry.replica === replica && this.#caughtUp.settled && !this.#left) {
      const lastMark = this.#roster.mark?.sequence ?? 0;
      this.#tenure = leaseReadBack(this.#tenure, entry, message.seq, lastMark);
      this.#tenure = graphReached(this.#tenure, this.#reached, timing);
    }
    onChange();
  }

  #marked(mark: ReachedMark): void {
    const { follower, timing, onMark } = this.#parts;
    const { promise } = this.#caughtUp;
    void follower.reached(mark.revision).then(() => {
      // Of a stream that was rolled back meanwhile.
      if (promise !== this.#caughtUp.promise) return;
      this.#reached = Math.max(this.#reached, mark.sequence);
      this.#tenure = graphReached(this.#tenure, this.#reached, timing);
      onMark(mark);
    });
  }

  #forget(): void {
    this.#roster = EMPTY_ROSTER;
    this.#tenure = newTenure(clock());
    this.#reached = 0;
    this.#caughtUp = deferred();
  }
}

/** Milliseconds that never go back. */
function clock(): number {
  return performance.now();
}

function wallDrift(): number {
  return Date.now() - performance.now();
}
