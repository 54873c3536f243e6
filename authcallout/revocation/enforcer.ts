/**
 * Carries revocations out. Every replica settles the logins that it answered itself; the leader cuts: sessions known at once when
 * the graph changes, and all that the servers list once everybody has settled (cutting-round.ts).
 */
import type { Logger } from "pino";
import type { CloseName } from "../../core/close-codes.ts";
import { kindOfError, reasonOf } from "../../core/errors.ts";
import { atLeast, type Revision } from "../../core/revision.ts";
import type { SessionName } from "../../core/session/session.ts";
import { sessionRights } from "../../core/session/session-rights.ts";
import type { Subjects } from "../../core/subjects.ts";
import type { Identity } from "../../core/token/token-index.ts";
import type { Applied, PermissionReplica } from "../../replica/permission-replica.ts";
import { sleep } from "../../runtime/sleep.ts";
import type { BarrierMember, ReachedMark } from "../barrier/barrier-member.ts";
import type { Ending, Endings } from "../sessions/endings.ts";
import type { Servers } from "../sessions/servers.ts";
import type { Session, Sessions } from "../sessions/sessions.ts";
import type { SystemAccount } from "../sessions/system-account.ts";
import { CuttingRound } from "./cutting-round.ts";
import type { Kicker } from "./kicker.ts";
import type { Notices } from "./notices.ts";
import { onceEach, planActions, planCuts, type SessionAction } from "./revocation-plan.ts";
import type { ServerWatch } from "./server-watch.ts";
import { RightsHistory, type Soundness } from "./soundness.ts";

export type EnforcerParts = {
  member: BarrierMember;
  watch: ServerWatch;
  kicker: Kicker;
  notices: Notices;
  system: SystemAccount;
  sessions: Sessions;
  endings: Endings;
  servers: Servers;
  follower: PermissionReplica;
  /** Is the graph young enough to judge by? */
  isFit: () => boolean;
  subjects: Subjects;
  /** Subjects that a session may have. */
  grantsMax: number;
  /** Milliseconds. */
  sessionTtl: number;
  anonymousUser: string;
  /** May Arvados' API vouch for a token of this name, though no row stands for it? */
  mayBeKnownElsewhere: (sessionToken: string) => boolean;
  log: Logger;
  now: () => number;
  signal: AbortSignal;
  /** A session was cut; `seconds` since the commit that caused it, where one did. */
  onCut: (action: SessionAction, seconds: number | null) => void;
  /** A phase of the barrier has ended after so many seconds. */
  onPhase: (phase: "settle" | "cut", seconds: number) => void;
};

/** So long a replica that does not lead remembers whose token has ended: where nobody leads for a moment, whoever leads next cuts them. */
const HANDOVER_MS = 10_000;

const RETRY_MS = 500;

export class Enforcer {
  readonly #parts: EnforcerParts;
  readonly #history = new RightsHistory();
  /** The kicks that changes of the graph have caused and that are not confirmed. */
  readonly #open = new Set<Promise<void>>();
  readonly #closed = new Set<string>();
  /** Ends that have come, and when that was seen. */
  #due: { ending: Ending; seen: number }[] = [];
  #cutting = false;

  constructor(parts: EnforcerParts) {
    this.#parts = parts;
  }

  /** Runs every minute: finds lost sessions, repeats lost notices, and writes the servers into BARRIER again. */
  async maintain(): Promise<void> {
    const { member, watch, isFit } = this.#parts;
    // A replica that was suspended has a stale graph; it must not judge sessions that logged in under a newer revision.
    if (isFit()) await this.reconcile();
    if (!member.leads()) return;
    this.tellOutgrown();
    await watch.repeat();
  }

  /** Tells everybody who has gained rights since he was let in: nobody else may have. */
  tellOutgrown(): void {
    const { sessions, notices } = this.#parts;
    for (const session of this.outgrown(sessions.all())) {
      notices.news({ session, do: "notify", because: "permissionsGrown" });
    }
  }

  /** Of these sessions, those that lack rights their users have gained. */
  outgrown(sessions: Iterable<Session>): Session[] {
    return [...sessions].filter(({ name }) => this.judge(name) === "outgrown");
  }

  loaded(revision: Revision): void {
    this.#history.loaded(revision);
  }

  /** A commit has been applied to the graph: what it takes away is cut now. */
  applied({ effect, changedKeys, revision, commitTime }: Applied): void {
    const { sessions, member } = this.#parts;
    const losers = [...effect.shrank, ...effect.outdated, ...changedKeys];
    this.#history.lost(losers, revision);
    const judge = onceEach((name) => this.judge(name));
    const actions = planActions(effect, changedKeys, sessions, judge);
    // Followers see to what they have answered themselves: nobody else may know of it yet.
    const mine = member.leads()
      ? actions
      : actions.filter(({ session, do: what }) => what === "cut" && sessions.isPending(session));
    if (mine.length > 0) this.#carryOut(mine, commitTime);
    // Else whoever never had what went would be cut by what comes next.
    for (const session of sessions.of(losers)) if (judge(session.name) === "same") sessions.renew(session, revision);
  }

  /** Somebody else's answer, or our own, has become a session: one of an older graph is looked at again. */
  connected(session: Session): void {
    const { follower, member, now } = this.#parts;
    this.#expectEnd(session.name, follower.tokens.bySessionToken(session.name.key.sessionToken, now()));
    if (!member.leads() || atLeast(session.name.revision, follower.revision)) return;
    const actions = planCuts([session], this.judge);
    if (actions.length > 0) this.#carryOut(actions, null);
  }

  /** Cuts sessions for another reason than their rights. */
  cut(actions: readonly SessionAction[]): void {
    void this.#carryOut(actions, null);
  }

  /** Lists the sessions of all servers and cuts those that the graph no longer agrees with. */
  async reconcile(): Promise<void> {
    const { watch, sessions } = this.#parts;
    await watch.look();
    await watch.listAll();
    const actions = planCuts(sessions.all(), this.judge);
    if (actions.length > 0) await this.#carryOut(actions, null);
  }

  /** Ends every session but those that `spared` keeps. */
  async endAll(because: CloseName, spared: (name: SessionName) => boolean): Promise<void> {
    const { watch, sessions } = this.#parts;
    await watch.listAll();
    const ending = sessions.all().filter(({ name }) => !spared(name));
    if (ending.length > 0)
      await this.#carryOut(
        ending.map((session) => ({ session, do: "cut", because })),
        null,
      );
  }

  /** A mark whose revision the graph has reached: resolves once no login answered here below it can still become a session. */
  async settle(mark: ReachedMark): Promise<void> {
    const { sessions, kicker, member, now, signal, onPhase } = this.#parts;
    const begun = now();
    const pending = planCuts(sessions.pending(now()), this.judge);
    await Promise.all(
      pending.map(({ session }) =>
        // Either the server says that it is gone, or it can no longer come.
        Promise.race([kicker.kick(session), sleep((session.pendingUntil ?? 0) - now(), signal)]).catch(() => undefined),
      ),
    );
    if (signal.aborted) return;
    onPhase("settle", (now() - begun) / 1000);
    await member.publish({ kind: "settled", replica: member.replica, mark: mark.sequence }).catch(() => undefined);
  }

  /** Starts the leader's next cutting round, if there is a mark to enforce. Called at every change. */
  consider(): void {
    const { member, log, signal } = this.#parts;
    const mark = !this.#cutting && member.leads() ? member.cuttable() : null;
    if (mark === null) return;
    this.#cutting = true;
    void this.#enforce(mark)
      .catch((error) => {
        log.error({ reason: reasonOf(error) }, "cutting revoked sessions failed; retrying");
        // Whatever it was may still be there.
        return sleep(RETRY_MS, signal);
      })
      .catch(() => undefined)
      .finally(() => {
        this.#cutting = false;
        if (!signal.aborted) setImmediate(() => this.consider());
      });
  }

  /** Cuts sessions whose tokens end now. */
  endWithTokens(): void {
    const { endings, member, sessions, now } = this.#parts;
    const seen = now();
    const due = [...this.#due, ...endings.removeExpired(seen).map((ending) => ({ ending, seen }))];
    const leads = member.leads();
    this.#due = leads ? [] : due.filter((one) => one.seen > seen - HANDOVER_MS);
    if (!leads) return;
    const actions = due.flatMap(({ ending: { name, at } }) =>
      planCuts(sessions.like({ name }), (one) => this.judge(one, at)),
    );
    if (actions.length > 0) this.#carryOut(actions, null);
  }

  /** Takes replicas that died without closing their connection out of the queue group: one that is alive connects again. */
  closeLapsed(): void {
    const { member, system, log } = this.#parts;
    if (!member.leads()) return;
    for (const { server, cid } of member.lapsedConnections()) {
      const key = `${server}:${cid}`;
      if (this.#closed.has(key)) continue;
      this.#closed.add(key);
      log.warn(
        { server, cid },
        "a replica's lease has run out: its connection is closed, so that others get its logins",
      );
      void system.kick(server, cid);
    }
  }

  /** A session that cannot be judged is cut: it must neither live on nor hold up the removal that all others wait for. */
  readonly judge = (name: SessionName, at = this.#parts.now()): Soundness => {
    try {
      return this.#judge(name, at);
    } catch (error) {
      this.#parts.log.error({ user: name.user, reason: kindOfError(error) }, "a session could not be judged");
      return "unsound";
    }
  };

  #judge(name: SessionName, at: number): Soundness {
    const { follower, subjects, grantsMax } = this.#parts;
    const identity = follower.tokens.bySessionToken(name.key.sessionToken, at);
    if (!identity) return this.#voidBecause(name, at);
    if (!follower.tokens.isProven(name.key.sessionToken, name.proof)) return this.#unknown(name);
    this.#expectEnd(name, identity);
    const roles = follower.roles.of(identity.user);
    const { hash } = sessionRights(follower.graph, subjects, identity, roles, grantsMax);
    return this.#history.judge(name, hash, identity);
  }

  /** What lasts longer than a session can is nobody's concern. */
  #expectEnd(name: SessionName, identity: Identity | null): void {
    const { endings, sessionTtl, now } = this.#parts;
    const at = identity?.expiresAt ?? Number.POSITIVE_INFINITY;
    if (at < now() + sessionTtl) endings.add({ name, at });
  }

  #voidBecause({ user, key }: SessionName, at: number): Soundness {
    const { follower, anonymousUser } = this.#parts;
    const end = follower.tokens.endOf(key.sessionToken, at);
    if (end === "user") return "deactivated";
    if (end === "refresh") return "uncertain";
    if (end !== "unknown") return "void";
    // Whoever is anonymous never was active.
    if (!follower.graph.isActive(user) && user !== anonymousUser) return "deactivated";
    return this.#unknown({ key });
  }

  /** No row has this token, or has it with this secret. */
  #unknown({ key }: Pick<SessionName, "key">): Soundness {
    return this.#parts.mayBeKnownElsewhere(key.sessionToken) ? "uncertain" : "void";
  }

  async #enforce(mark: number): Promise<void> {
    const { watch, kicker, servers, member, signal, now, onPhase } = this.#parts;
    const begun = now();
    const onCut = (action: SessionAction) => this.#parts.onCut(action, null);
    const round = new CuttingRound({ watch, kicker, servers, judge: this.judge, signal, onCut }, mark);
    await Promise.all(this.#open);
    if (!(await round.run())) return;
    await member.publish({ kind: "cut", mark });
    onPhase("cut", (now() - begun) / 1000);
  }

  #carryOut(actions: readonly SessionAction[], commitTime: number | null): Promise<void> {
    const work = this.#run(actions, commitTime)
      .catch((error) => this.#parts.log.error({ reason: reasonOf(error) }, "carrying out a revocation failed"))
      .finally(() => this.#open.delete(work));
    this.#open.add(work);
    return work;
  }

  async #run(actions: readonly SessionAction[], commitTime: number | null): Promise<void> {
    const { kicker, notices, now, onCut } = this.#parts;
    for (const action of actions) if (action.do === "notify") notices.news(action);
    await kicker.cut(
      actions.filter(({ do: what }) => what === "cut"),
      (action) => onCut(action, commitTime === null ? null : (now() - commitTime) / 1000),
    );
  }
}
