/**
 * Carries revocations out. Every replica settles the logins that it answered itself; the leader cuts: sessions known at once when
 * the graph changes, and all that the servers list once everybody has settled (core/barrier/round.ts).
 */
import type { Logger } from "pino";
import { beginRound, gone, isEnforced, kicked, listed, type Round } from "../core/barrier/round.ts";
import type { CloseName } from "../core/close-codes.ts";
import { reasonOf } from "../core/errors.ts";
import { atLeast, type Revision } from "../core/revision.ts";
import type { SessionName } from "../core/session.ts";
import { sessionRights } from "../core/session-rights.ts";
import type { Subjects } from "../core/subjects.ts";
import type { Applied, GraphFollower } from "../runtime/graph-follower.ts";
import { sleep } from "../runtime/sleep.ts";
import type { BarrierMember, Marked } from "./barrier-member.ts";
import { type Kicker, lookForServers } from "./kicker.ts";
import { type Action, planActions, planCuts } from "./revocation-plan.ts";
import type { Servers } from "./servers.ts";
import type { Session, Sessions } from "./sessions.ts";
import { RightsHistory, type Soundness } from "./soundness.ts";
import type { SystemAccount } from "./system-account.ts";

export type EnforcerParts = {
  member: BarrierMember;
  kicker: Kicker;
  system: SystemAccount;
  sessions: Sessions;
  servers: Servers;
  follower: GraphFollower;
  subjects: Subjects;
  log: Logger;
  now: () => number;
  signal: AbortSignal;
  /** A session was cut or told; `seconds` since the commit that caused it, where one did. */
  onAction: (action: Action, seconds: number | null) => void;
  /** A phase of the barrier has ended after so many seconds. */
  onPhase: (phase: "settle" | "cut", seconds: number) => void;
};

const RETRY_MS = 250;

export class Enforcer {
  readonly #parts: EnforcerParts;
  readonly #history = new RightsHistory();
  /** The kicks that changes of the graph have caused and that are not confirmed. */
  readonly #open = new Set<Promise<void>>();
  /** Ids of servers that stand in BARRIER. */
  readonly #announced = new Set<string>();
  readonly #closed = new Set<string>();
  #round: Round | null = null;

  constructor(parts: EnforcerParts) {
    this.#parts = parts;
  }

  /** Listens to the servers; resolves once those that answer are known. */
  async start(): Promise<void> {
    const { system, sessions, servers } = this.#parts;
    system.watch({
      connect: (session) => this.#connected(session),
      disconnect: (server, cid) => sessions.remove(server, cid),
      seen: ({ name, id }) => this.sighted(name, id),
      ended: (id) => this.#ended(id),
    });
    for (const { name, id } of await system.servers()) this.sighted(name, id);
    for (const server of servers.ids()) await this.#list(server).catch(() => undefined);
  }

  /** A server was seen. A new one is written into BARRIER, so that a later leader knows it even if it is silent then. */
  sighted(name: string, id: string): void {
    const { servers } = this.#parts;
    const sighting = servers.seen(name, id);
    if (sighting === "known" || sighting === "former") return;
    this.#dropSessionsOfTheGone();
    void this.announce(name, id)?.catch(() => undefined);
    // One that an admin gave up and that goes on nevertheless has its old sessions still.
    if (sighting === "returned") void this.reconcile().catch(() => undefined);
  }

  /** Null where BARRIER knows the server; else resolves once it does. */
  announce(name: string, id: string): Promise<void> | null {
    if (this.#announced.has(id)) return null;
    this.#parts.servers.seen(name, id);
    return this.#parts.member.say({ kind: "server", name, id });
  }

  /** What is to be done from time to time: lost sessions are found, and BARRIER, which forgets after an hour, is told of the servers. */
  async maintain(): Promise<void> {
    const { servers, member } = this.#parts;
    await this.reconcile();
    if (!member.leads()) return;
    for (const { name, id } of servers.all()) await member.say({ kind: "server", name, id });
  }

  /** What BARRIER says of a server. */
  told(name: string, id: string | null): void {
    const { servers, log } = this.#parts;
    if (id !== null) {
      servers.seen(name, id);
      this.#announced.add(id);
    } else if (servers.forget(name)) log.warn({ name }, "an admin has declared a server gone");
    this.#dropSessionsOfTheGone();
  }

  loaded(revision: Revision): void {
    this.#history.loaded(revision);
  }

  /** A commit has been applied to the graph: what it takes away is cut now. */
  applied({ effect, touched, revision, commitTime }: Applied): void {
    const { sessions, member } = this.#parts;
    this.#history.shrank([...effect.shrank, ...touched], revision);
    const actions = planActions(effect, touched, sessions, this.judge);
    // Followers see to what they have answered themselves: nobody else may know of it yet.
    const mine = member.leads()
      ? actions
      : actions.filter(({ session, do: what }) => what === "cut" && sessions.isPending(session));
    if (mine.length > 0) this.#carryOut(mine, commitTime);
  }

  /** Lists the sessions of all servers and cuts those that the graph no longer agrees with. */
  async reconcile(): Promise<void> {
    const { servers, sessions, system } = this.#parts;
    await lookForServers(system, servers);
    this.#dropSessionsOfTheGone();
    await Promise.all(servers.ids().map((server) => this.#list(server).catch(() => servers.silent(server))));
    const actions = planCuts(sessions.all(), this.judge);
    if (actions.length > 0) await this.#carryOut(actions, null);
  }

  /** Ends every session but those that `spared` keeps. */
  async endAll(because: CloseName, spared: (name: SessionName) => boolean): Promise<void> {
    const { servers, sessions } = this.#parts;
    await Promise.all(servers.ids().map((server) => this.#list(server).catch(() => servers.silent(server))));
    const ending = sessions.all().filter(({ name }) => !spared(name));
    if (ending.length > 0)
      await this.#carryOut(
        ending.map((session) => ({ session, do: "cut", because })),
        null,
      );
  }

  /** A mark whose revision the graph has reached: resolves once no login answered here below it can still become a session. */
  async settle(mark: Marked): Promise<void> {
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
    await member.say({ kind: "settled", replica: member.replica, mark: mark.sequence }).catch(() => undefined);
  }

  /** The leader's step, if one is due. Asked at every change; a round that is under way goes on by itself. */
  consider(): void {
    const { member, log } = this.#parts;
    const mark = this.#round === null && member.leads() ? member.cuttable() : null;
    if (mark === null) return;
    this.#round = beginRound(mark, this.#parts.servers.ids());
    void this.#enforce()
      .catch((error) => log.error({ reason: reasonOf(error) }, "a round of cutting met trouble"))
      .finally(() => {
        this.#round = null;
        if (!this.#parts.signal.aborted) setImmediate(() => this.consider());
      });
  }

  /** Takes replicas that died without closing their connection out of the queue group: one that comes back connects anew. */
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

  readonly judge = (name: SessionName): Soundness => {
    const { follower, subjects, now } = this.#parts;
    const identity = follower.tokens.bySessionToken(name.key.token, now());
    const roles = identity ? follower.roles.of(identity.user) : [];
    const hash = identity && sessionRights(follower.graph, subjects, identity, roles).hash;
    return this.#history.judge(name, hash, identity ?? undefined);
  };

  async #enforce(): Promise<void> {
    const { member, now, onPhase } = this.#parts;
    const begun = now();
    const round = this.#round as Round;
    await Promise.all(this.#open);
    await Promise.all(Object.keys(round.servers).map((server) => this.#clear(server)));
    if (!this.#round || !isEnforced(this.#round)) return;
    await member.say({ kind: "cut", mark: round.mark });
    onPhase("cut", (now() - begun) / 1000);
  }

  /** Lists one server and kicks what is unsound on it, however long that takes, unless it is gone. */
  async #clear(server: string): Promise<void> {
    const { servers, kicker, signal } = this.#parts;
    const step = (change: (round: Round) => Round) => {
      if (this.#round) this.#round = change(this.#round);
    };
    const found = await this.#listInSpiteOf(server);
    if (found) {
      const cuts = planCuts(found, this.judge);
      step((round) =>
        listed(
          round,
          server,
          cuts.map(({ session }) => session.cid),
        ),
      );
      for (const { session, because } of cuts) kicker.tell(session, because);
      if (cuts.length > 0) await kicker.told();
      await Promise.all(
        cuts.map(async (action) => {
          await kicker.kick(action.session);
          step((round) => kicked(round, server, action.session.cid));
          this.#parts.onAction(action, null);
        }),
      );
    }
    if (!signal.aborted && !servers.has(server)) step((round) => gone(round, server));
  }

  /** Null where the server turned out to be gone, or we stop. */
  async #listInSpiteOf(server: string): Promise<Session[] | null> {
    const { servers, system, log, signal } = this.#parts;
    for (let attempt = 1; !signal.aborted && servers.has(server); attempt++) {
      try {
        return await this.#list(server);
      } catch (error) {
        servers.silent(server);
        const reason = reasonOf(error);
        if (attempt === 1) log.warn({ server, reason }, "a server does not list its sessions; records wait for it");
        await lookForServers(system, servers);
        if (servers.has(server)) await sleep(RETRY_MS, signal).catch(() => undefined);
      }
    }
    return null;
  }

  async #list(server: string): Promise<Session[]> {
    const { system, sessions, now } = this.#parts;
    const askedAt = now();
    const found = await system.sessionsOf(server, askedAt);
    sessions.listed(server, found, askedAt);
    return found;
  }

  /** Somebody else's answer, or our own, has become a session: one of an older graph is looked at again. */
  #connected(session: Session): void {
    const { sessions, follower, member } = this.#parts;
    sessions.add(session);
    if (!member.leads() || atLeast(session.name.revision, follower.revision)) return;
    const actions = planCuts([session], this.judge);
    if (actions.length > 0) this.#carryOut(actions, null);
  }

  #ended(id: string): void {
    this.#parts.servers.ended(id);
    this.#dropSessionsOfTheGone();
  }

  #dropSessionsOfTheGone(): void {
    const { sessions, servers } = this.#parts;
    const known = new Set(servers.ids());
    for (const server of new Set(sessions.all().map((session) => session.server))) {
      if (!known.has(server)) sessions.forgetServer(server);
    }
  }

  #carryOut(actions: readonly Action[], commitTime: number | null): Promise<void> {
    const work = this.#run(actions, commitTime)
      .catch((error) => this.#parts.log.error({ reason: reasonOf(error) }, "a revocation met trouble"))
      .finally(() => this.#open.delete(work));
    this.#open.add(work);
    return work;
  }

  async #run(actions: readonly Action[], commitTime: number | null): Promise<void> {
    const { kicker, now, onAction } = this.#parts;
    const seconds = () => (commitTime === null ? null : (now() - commitTime) / 1000);
    for (const { session, because } of actions) kicker.tell(session, because);
    for (const action of actions) if (action.do === "tell") onAction(action, seconds());
    const cuts = actions.filter((action) => action.do === "cut");
    if (cuts.length === 0) return;
    await kicker.told();
    await Promise.all(
      cuts.map(async (action) => {
        await kicker.kick(action.session);
        onAction(action, seconds());
      }),
    );
  }
}
