/**
 * Keeps the sessions of each owner within bounds: it refuses logins above them, and cuts the newest sessions if several replicas accepted
 * too many. It publishes to the other replicas what it alone knows (the network of an anonymous session) and to the gateways which
 * sessions have ended; the gateways report sessions that flood them.
 */
import type { Msg, NatsConnection } from "@nats-io/nats-core";
import { networkOf } from "../../core/address.ts";
import type { CloseName } from "../../core/close-codes.ts";
import { type Fault, fault } from "../../core/errors.ts";
import type { SessionName } from "../../core/session/session.ts";
import type { Subjects } from "../../core/subjects.ts";
import type { Identity } from "../../core/token/token-index.ts";
import type { SessionOrigin, SessionReport } from "../../core/wire/wire.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { SessionAction } from "../revocation/revocation-plan.ts";
import type { Session, Sessions } from "../sessions/sessions.ts";
import { type LoginPauses, shareOf } from "./login-pauses.ts";
import { boundRefusal, type Count, excessOf, type SessionBounds } from "./session-bounds.ts";

export type SessionGuardParts = {
  core: Pick<NatsConnection, "publish" | "subscribe" | "isClosed">;
  subjects: Subjects;
  sessions: Sessions;
  bounds: SessionBounds;
  pauses: LoginPauses;
  leads: () => boolean;
  /** Cuts these sessions. */
  cut: (actions: readonly SessionAction[]) => void;
  now: () => number;
  log: Logger;
};

export class SessionGuard {
  readonly #parts: SessionGuardParts;
  readonly #leaving = new WeakSet<Session>();

  constructor(parts: SessionGuardParts) {
    this.#parts = parts;
  }

  start(): void {
    const { core, subjects } = this.#parts;
    const hear = <T>(subject: string, onMessage: (body: T) => void) =>
      core.subscribe(subject, {
        callback: (error: Error | null, message: Msg) => (error ? undefined : onMessage(message.json<T>())),
      });
    hear<SessionOrigin>(subjects.sessionPlace, ({ server, cid, network }) => this.#placed(server, cid, network));
    hear<SessionReport>(subjects.sessionFlood, (report) => this.#flooded(report));
  }

  /** Why a known user's login is refused now, or null. */
  refusal({ user, sessionToken }: Identity, sid: string, host: string): Fault | null {
    const { bounds, sessions, pauses, now } = this.#parts;
    const name = { user, key: { sessionToken, sid } };
    const network = networkOf(host);
    const counts = bounds.countsOf(name, network);
    const owner = bounds.ownerOf(name, network) ?? "";
    const ms = pauses.leftOf(owner, shareOf(`${sessionToken}.${sid}`), now());
    return ms > 0 ? fault("login.paused", { whose: owner, ms }) : boundRefusal(counts, sessions, now());
  }

  /** The login is about to be accepted. */
  admitted({ server, cid, name }: Session, host: string): void {
    const { bounds, core, pauses, subjects, now } = this.#parts;
    const network = networkOf(host);
    const owner = bounds.ownerOf(name, network);
    if (owner !== null) pauses.admitted(owner, now());
    if (!bounds.isAnonymous(name.user)) return;
    this.#placed(server, cid, network);
    const place: SessionOrigin = { server, cid, network };
    if (!core.isClosed()) core.publish(subjects.sessionPlace, JSON.stringify(place));
  }

  /** An answer of this or another replica has become a session. */
  connected({ server, cid, name }: Session): void {
    const { bounds, leads } = this.#parts;
    if (leads()) this.#cutExcess(bounds.countsOf(name, bounds.placeOf(server, cid)));
  }

  /** A session has ended. */
  ended(server: string, cid: number, { name, kicked }: { name: SessionName; kicked: boolean }): void {
    const { bounds, core, pauses, sessions, subjects, leads, now } = this.#parts;
    const owner = bounds.ownerOf(name, bounds.placeOf(server, cid));
    if (kicked && owner !== null) pauses.cut(owner, now());
    if (!leads() || core.isClosed() || sessions.like({ name }).length > 0) return;
    const report: SessionReport = { user: name.user, token: name.key.sessionToken, sid: name.key.sid };
    core.publish(subjects.sessionEnded, JSON.stringify(report));
  }

  /** Checks all counts: there may have been no leader for a moment, or bounds were lowered. */
  cutExcess(): void {
    const { bounds, sessions, leads } = this.#parts;
    if (leads()) this.#cutExcess([...sessions.counts()].map((key) => ({ key, limit: bounds.limitOf(key) })));
  }

  #cutExcess(counts: readonly Count[]): void {
    const { sessions, cut, now } = this.#parts;
    const excess = new Set(counts.flatMap((count) => excessOf(count, sessions, this.#leaving, now())));
    for (const session of excess) this.#leaving.add(session);
    if (excess.size > 0) cut([...excess].map((session) => ({ session, do: "cut", because: "tooManySessions" })));
  }

  #placed(server: string, cid: number, network: string): void {
    const { bounds, sessions } = this.#parts;
    bounds.placed(server, cid, network);
    const session = sessions.recount(server, cid);
    if (session) this.connected(session);
  }

  #flooded({ user, token, sid }: SessionReport): void {
    const { bounds, sessions, pauses, leads, cut, now, log } = this.#parts;
    const name = { user, key: { sessionToken: token, sid } };
    const flooders = sessions.like({ name });
    const places = flooders.map(({ server, cid }) => bounds.placeOf(server, cid));
    // The session may have ended already.
    const owners = new Set((places.length > 0 ? places : [null]).map((place) => bounds.ownerOf(name, place)));
    for (const owner of owners) if (owner !== null) pauses.flooded(owner, now());
    if (!leads()) return;
    log.warn({ user, token }, "a session floods the gateway and is cut");
    const because: CloseName = "flooding";
    cut(flooders.map((session): SessionAction => ({ session, do: "cut", because })));
  }
}
