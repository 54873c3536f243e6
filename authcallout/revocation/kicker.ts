/**
 * Cuts sessions at nats-server, each by that server's own word. A server that stays silent is asked again until it
 * answers or is known to be gone; whoever waits for the kick waits with it.
 */
import type { NatsConnection } from "@nats-io/nats-core";
import type { Logger } from "../../runtime/log/log.ts";
import { inTime, sleep } from "../../runtime/sleep.ts";
import type { Servers } from "../sessions/servers.ts";
import type { Session, Sessions } from "../sessions/sessions.ts";
import type { SystemAccount } from "../sessions/system-account.ts";
import type { Notices } from "./notices.ts";
import type { SessionAction } from "./revocation-plan.ts";

export type KickerParts = {
  /** In APP: what is told there stands in the sessions' queues once this is flushed. */
  app: Pick<NatsConnection, "flush">;
  notices: Notices;
  system: SystemAccount;
  sessions: Sessions;
  servers: Servers;
  log: Logger;
  signal: AbortSignal;
};

const RETRY_MS = 250;
/** Kicks wait so long for the notices before them: the replica's own server may be stalled while sessions are on others. */
const NOTICE_MS = 100;
/** How many kicks are under way at once at one server: a silent one must not hold up the kicks at others. */
const PARALLEL = 64;

export class Kicker {
  readonly #parts: KickerParts;
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #turns = new Map<string, { running: number; waiting: (() => void)[] }>();

  constructor(parts: KickerParts) {
    this.#parts = parts;
  }

  /** Kicks being carried out now. */
  get open(): number {
    return this.#underWay.size;
  }

  /** Tells each session why, then kicks it; resolves once all are gone for certain. */
  async cut(cuts: readonly SessionAction[], onCut: (action: SessionAction) => void): Promise<void> {
    const { app, notices } = this.#parts;
    if (cuts.length === 0) return;
    for (const action of cuts) notices.beforeCut(action);
    // What was told stands in the sessions' queues then, ahead of any kick.
    await inTime(
      app.flush().catch(() => undefined),
      NOTICE_MS,
    );
    await Promise.all(
      cuts.map(async (action) => {
        await this.kick(action.session);
        onCut(action);
      }),
    );
  }

  /** Resolves once the session is gone for certain. Asked twice at a time it is one kick. */
  kick(session: Session): Promise<void> {
    const key = `${session.server}:${session.cid}`;
    const known = this.#underWay.get(key);
    if (known) return known;
    const work = this.#kick(session).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, work);
    return work;
  }

  async #kick({ server, cid }: Session): Promise<void> {
    const { system, sessions, servers, log, signal } = this.#parts;
    for (let attempt = 1; servers.has(server); attempt++) {
      if (await this.#oneOfFew(server, () => system.kick(server, cid))) break;
      if (signal.aborted) throw new Error("stopped before the session was gone");
      servers.silent(server);
      if (attempt === 1) log.warn({ server, cid }, "a server does not answer a kick; records wait for it");
      await lookForServers(system, servers);
      if (servers.has(server)) await sleep(RETRY_MS, signal);
    }
    sessions.remove(server, cid);
  }

  async #oneOfFew<T>(server: string, work: () => Promise<T>): Promise<T> {
    const turns = this.#turns.get(server) ?? { running: 0, waiting: [] };
    this.#turns.set(server, turns);
    if (turns.running >= PARALLEL) await new Promise<void>((resolve) => turns.waiting.push(resolve));
    turns.running++;
    try {
      return await work();
    } finally {
      turns.running--;
      turns.waiting.shift()?.();
      if (turns.running === 0 && turns.waiting.length === 0) this.#turns.delete(server);
    }
  }
}

/** Asks who is there: a name that has come back under a new id tells that the old one is gone. */
export async function lookForServers(system: SystemAccount, servers: Servers): Promise<void> {
  for (const { name, id } of await system.servers().catch(() => [])) servers.seen(name, id);
}
