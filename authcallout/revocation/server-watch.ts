/**
 * Keeps up with the servers and the sessions on them: hears of both by the system account, learns of servers from BARRIER and
 * tells it of those it does not know, and asks a server for its list.
 */
import type { Logger } from "pino";
import { reasonOf } from "../../core/errors.ts";
import type { SessionName } from "../../core/session/session.ts";
import { sleep } from "../../runtime/sleep.ts";
import type { BarrierMember } from "../barrier/barrier-member.ts";
import type { Servers } from "../sessions/servers.ts";
import type { Session, Sessions } from "../sessions/sessions.ts";
import type { SystemAccount } from "../sessions/system-account.ts";
import { lookForServers } from "./kicker.ts";

export type ServerWatchParts = {
  member: Pick<BarrierMember, "publish">;
  system: SystemAccount;
  sessions: Sessions;
  servers: Servers;
  log: Logger;
  now: () => number;
  signal: AbortSignal;
  /** An answer, ours or another replica's, has become a session. */
  onSession: (session: Session) => void;
  /** A session has ended. */
  onEnd?: (server: string, cid: number, left: { name: SessionName; kicked: boolean }) => void;
  /** A server that an admin declared gone is alive, with its old sessions. */
  onReturn: () => void;
};

const RETRY_MS = 250;

export class ServerWatch {
  readonly #parts: ServerWatchParts;
  /** Ids of servers that stand in BARRIER. */
  readonly #announced = new Set<string>();

  constructor(parts: ServerWatchParts) {
    this.#parts = parts;
  }

  /** Resolves once the servers that answer, and their sessions, are known. */
  async start(): Promise<void> {
    const { system, sessions, servers, onSession, onEnd } = this.#parts;
    system.watch({
      connect: (session) => {
        sessions.add(session);
        onSession(session);
      },
      disconnect: (server, cid, left) => {
        sessions.remove(server, cid);
        if (left) onEnd?.(server, cid, left);
      },
      seen: ({ name, id }) => this.#sighted(name, id),
      ended: (id) => {
        servers.ended(id);
        this.#dropSessionsOfTheGone();
      },
    });
    for (const { name, id } of await system.servers()) this.#sighted(name, id);
    for (const server of servers.ids()) await this.list(server).catch(() => undefined);
  }

  /** Null where BARRIER knows the server; else resolves once it does: a later leader must know it even if it is silent then. */
  announce(name: string, id: string): Promise<void> | null {
    if (this.#announced.has(id)) return null;
    this.#parts.servers.seen(name, id);
    return this.#parts.member.publish({ kind: "server", name, id });
  }

  /** What BARRIER says of a server. */
  told(name: string, id: string | null): void {
    const { servers, log } = this.#parts;
    if (id !== null) {
      servers.seen(name, id);
      this.#announced.add(id);
    } else {
      const forgotten = servers.forget(name);
      if (forgotten) log.warn({ name }, "an admin has declared a server gone");
      // If the server is alive after all, it must be written into BARRIER again.
      if (forgotten) this.#announced.delete(forgotten);
    }
    this.#dropSessionsOfTheGone();
  }

  /** BARRIER forgets what is not repeated. */
  async repeat(): Promise<void> {
    const { servers, member } = this.#parts;
    for (const { name, id } of servers.all()) await member.publish({ kind: "server", name, id });
  }

  /** @throws where the server does not answer */
  async list(server: string): Promise<Session[]> {
    const { system, sessions, now } = this.#parts;
    const askedAt = now();
    const found = await system.sessionsOf(server, askedAt);
    sessions.listed(server, found, askedAt);
    return found.map((session) => sessions.known(session));
  }

  /** Lists every server; those that do not answer are silent. */
  async listAll(): Promise<void> {
    const { servers } = this.#parts;
    await Promise.all(servers.ids().map((server) => this.list(server).catch(() => servers.silent(server))));
  }

  /** However long it takes. Null where the server turned out to be gone, or we stop. */
  async listInSpiteOf(server: string): Promise<Session[] | null> {
    const { servers, log, signal } = this.#parts;
    for (let attempt = 1; !signal.aborted && servers.has(server); attempt++) {
      try {
        return await this.list(server);
      } catch (error) {
        servers.silent(server);
        const reason = reasonOf(error);
        if (attempt === 1) log.warn({ server, reason }, "a server does not list its sessions; records wait for it");
        await this.look();
        if (servers.has(server)) await sleep(RETRY_MS, signal).catch(() => undefined);
      }
    }
    return null;
  }

  /** Asks who is there, and drops the sessions of those that are not any more. */
  async look(): Promise<void> {
    await lookForServers(this.#parts.system, this.#parts.servers);
    this.#dropSessionsOfTheGone();
  }

  #sighted(name: string, id: string): void {
    const sighting = this.#parts.servers.seen(name, id);
    if (sighting === "known" || sighting === "former") return;
    this.#dropSessionsOfTheGone();
    void this.announce(name, id)?.catch(() => undefined);
    if (sighting === "returned") this.#parts.onReturn();
  }

  #dropSessionsOfTheGone(): void {
    const { sessions, servers } = this.#parts;
    const known = new Set(servers.ids());
    for (const server of new Set(sessions.all().map((session) => session.server))) {
      if (!known.has(server)) sessions.forgetServer(server);
    }
  }
}
