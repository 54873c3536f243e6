/**
 * Carries revocations out: tells a session why, kicks it at nats-server, and says `cut r` once every session that a removal up
 * to revision r concerns is gone by its server's own word. A server that stays silent holds the barrier, with a warning.
 *
 * This replica believes to be the only one: it gave every answer since it started, and listed every older session then.
 */
import type { NatsConnection } from "@nats-io/nats-core";
import type { Logger } from "pino";
import { CLOSE_CODES, type CloseName } from "../core/close-codes.ts";
import { reasonOf } from "../core/errors.ts";
import { atLeast, formatRevision, NO_REVISION, parseRevision, type Revision } from "../core/revision.ts";
import type { Subjects } from "../core/subjects.ts";
import type { Notice } from "../core/wire.ts";
import { deferred } from "../runtime/deferred.ts";
import type { Applied, GraphFollower } from "../runtime/graph-follower.ts";
import { type Action, planActions, planReconcile } from "./revocation-plan.ts";
import type { Session, Sessions } from "./sessions.ts";
import type { SystemAccount } from "./system-account.ts";

export type EnforcerParts = {
  /** In CORE: the barrier. */
  core: NatsConnection;
  /** In APP: the sessions' notices. */
  app: NatsConnection;
  system: SystemAccount;
  sessions: Sessions;
  follower: GraphFollower;
  subjects: Subjects;
  log: Logger;
  now: () => number;
  /** A session was cut or told; `seconds` since the commit that caused it, where one did. */
  onAction: (action: Action, seconds: number | null) => void;
};

const KICK_RETRY_MS = 250;
/** How many kicks are under way at once. */
const PARALLEL = 64;

export class Enforcer {
  readonly #parts: EnforcerParts;
  readonly #open = new Set<Promise<void>>();
  readonly #ready = deferred<void>();
  readonly #settling = new Set<string>();
  /** Server id -> the server's name, which outlives its id. */
  readonly #names = new Map<string, string>();
  #cut: Revision = NO_REVISION;
  #stopped = false;

  constructor(parts: EnforcerParts) {
    this.#parts = parts;
  }

  /** Removals being enforced now. */
  get openCuts(): number {
    return this.#open.size;
  }

  /** Begins to listen, and brings the sessions it finds into line; resolves when that is done. */
  async start(): Promise<void> {
    const { core, system, subjects, sessions } = this.#parts;
    system.watch({
      connect: (session) => this.#connected(session),
      disconnect: (server, cid) => sessions.remove(server, cid),
    });
    core.subscribe(subjects.barrierMark, {
      callback: (error, message) => {
        const revision = error ? null : parseRevision(message.string());
        if (revision) void this.#settle(revision);
      },
    });
    await this.reconcile();
    this.#ready.resolve();
  }

  stop(): void {
    this.#stopped = true;
  }

  /** A commit has been applied to the graph: what it takes away is cut now. */
  applied({ effect, touched, commitTime }: Applied): void {
    const { sessions, follower, subjects, now } = this.#parts;
    const actions = planActions(effect, touched, sessions, follower, subjects, now());
    if (actions.length > 0) this.#carryOut(actions, commitTime);
  }

  /** Lists the sessions of all servers and cuts those that the graph no longer agrees with. */
  async reconcile(): Promise<void> {
    const { system, sessions, follower, subjects, now } = this.#parts;
    const found = await system.servers();
    for (const [name, id] of found) this.#names.set(id, name);
    const servers = new Set(found.values());
    for (const server of servers) {
      const askedAt = now();
      sessions.listed(server, await system.sessionsOf(server, askedAt), askedAt);
    }
    for (const { server } of sessions.all()) if (!servers.has(server)) sessions.forgetServer(server);
    const actions = planReconcile(sessions.all(), follower, subjects, now());
    if (actions.length > 0) await this.#carryOut(actions, null);
  }

  /** Somebody else's answer, or our own: a session of an older graph is looked at again. */
  #connected(session: Session): void {
    const { sessions, follower, subjects, now } = this.#parts;
    sessions.add(session);
    if (atLeast(session.name.revision, follower.revision)) return;
    const actions = planReconcile([session], follower, subjects, now());
    if (actions.length > 0) this.#carryOut(actions, null);
  }

  /** Answers a mark once everything up to it is enforced. The bridge repeats its marks, so a lost answer is only late. */
  async #settle(revision: Revision): Promise<void> {
    const { core, follower, subjects } = this.#parts;
    const text = formatRevision(revision);
    if (this.#settling.has(text)) return;
    this.#settling.add(text);
    try {
      await this.#ready.promise;
      await follower.reached(revision);
      if (!atLeast(this.#cut, revision)) await Promise.all(this.#open);
      if (this.#stopped) return;
      this.#cut = atLeast(this.#cut, revision) ? this.#cut : revision;
      core.publish(subjects.barrierCut, text);
    } finally {
      this.#settling.delete(text);
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
    const { app, now, onAction } = this.#parts;
    for (const action of actions) this.#tell(action.session, action.because);
    // The notice is in the session's queue before the kick closes it.
    await app.flush().catch(() => undefined);
    const seconds = () => (commitTime === null ? null : (now() - commitTime) / 1000);
    const cuts = actions.filter((action) => action.do === "cut");
    for (const action of actions) if (action.do === "tell") onAction(action, seconds());
    let next = 0;
    const worker = async () => {
      for (let action = cuts[next++]; action; action = cuts[next++]) {
        await this.#kick(action.session);
        onAction(action, seconds());
      }
    };
    await Promise.all(Array.from({ length: Math.min(PARALLEL, cuts.length) }, worker));
  }

  #tell({ name }: Session, because: CloseName): void {
    const { app, subjects, follower } = this.#parts;
    const notice: Notice = {
      notice: because,
      ...CLOSE_CODES[because],
      revision: formatRevision(follower.revision),
    };
    app.publish(subjects.notice(name.key), JSON.stringify(notice));
  }

  async #kick({ server, cid }: Session): Promise<void> {
    const { system, sessions, log } = this.#parts;
    for (let attempt = 1; !this.#stopped; attempt++) {
      if (await system.kick(server, cid)) break;
      if (await this.#isReplaced(server)) return sessions.forgetServer(server);
      log.warn({ server, cid, attempt }, "a server does not answer a kick; records wait for it");
      await new Promise((resolve) => setTimeout(resolve, KICK_RETRY_MS));
    }
    sessions.remove(server, cid);
  }

  /** Has the server with this id come back under another one? Then its old sessions went with it. */
  async #isReplaced(server: string): Promise<boolean> {
    const { system } = this.#parts;
    const name = this.#names.get(server);
    const servers = await system.servers();
    for (const [known, id] of servers) this.#names.set(id, known);
    return name !== undefined && servers.has(name) && servers.get(name) !== server;
  }
}
