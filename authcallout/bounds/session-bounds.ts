/**
 * How many sessions there may be, and to whose counts a session belongs. Nobody can use up what others need: a user's session counts for
 * the user and the token; a container's session for the container, so that many containers do not lock their user out; an anonymous
 * session for its address, because all of them have the same token. Pure.
 */
import { type Fault, fault } from "../../core/errors.ts";
import { keepNewest } from "../../core/keep-newest.ts";
import type { SessionName } from "../../core/session/session.ts";
import { suffixedParts } from "../../core/token/token.ts";
import type { Identity } from "../../core/token/token-index.ts";
import type { Config } from "../../runtime/config/config.ts";
import type { Session, Sessions } from "../sessions/sessions.ts";

export type SessionLimits = {
  perUser: number;
  perToken: number;
  /** Of one container's token. */
  perContainer: number;
  /** Of all containers of one user. */
  perUserContainers: number;
  /** Anonymous ones from one address; of IPv6 from one /64. */
  perAddress: number;
  /** All anonymous ones. */
  anonymous: number;
};

export function sessionLimits(config: Config): SessionLimits {
  return {
    perUser: config.sessionsPerUser,
    perToken: config.sessionsPerCredential,
    perContainer: config.sessionsPerContainer,
    perUserContainers: config.sessionsPerUserContainers,
    perAddress: config.sessionsPerAddress,
    anonymous: config.sessionsAnonymous,
  };
}

/** One count that a session is part of. */
export type Count = { key: string; limit: number };

export type SessionBoundsParts = {
  limits: SessionLimits;
  anonymousUser: string;
  /** The identity behind a session token, if it is known here. */
  identity: (sessionToken: string) => Pick<Identity, "token" | "containers"> | null;
};

const ANONYMOUS = "anonymous";
/** Entries of sessions that have ended stay until newer ones push them out. */
const KEPT_PLACES = 50_000;

export class SessionBounds {
  readonly #parts: SessionBoundsParts;
  /** Server and connection -> the network that an anonymous session came from. */
  readonly #places = new Map<string, string>();

  constructor(parts: SessionBoundsParts) {
    this.#parts = parts;
  }

  isAnonymous(user: string): boolean {
    return user === this.#parts.anonymousUser;
  }

  /** Sets the network of an anonymous session. The replica that answered its login knows it and publishes it to the others. */
  placed(server: string, cid: number, network: string): void {
    keepNewest(this.#places, KEPT_PLACES, `${server}:${cid}`, network);
  }

  placeOf(server: string, cid: number): string | null {
    return this.#places.get(`${server}:${cid}`) ?? null;
  }

  /**
   * The counts that a session belongs to; the first one names its owner.
   * @param network of an anonymous session; null = not known
   */
  countsOf({ user, key }: Pick<SessionName, "user" | "key">, network: string | null): Count[] {
    const known = this.#parts.identity(key.sessionToken);
    if (this.isAnonymous(user)) return this.#counts(network === null ? [ANONYMOUS] : [`address ${network}`, ANONYMOUS]);
    const isContainers = suffixedParts(key.sessionToken) !== null || (known?.containers.length ?? 0) > 0;
    if (isContainers) return this.#counts([`container ${key.sessionToken}`, `containers-of ${user}`]);
    return this.#counts([`user ${user}`, `token ${known?.token ?? key.sessionToken}`]);
  }

  limitOf(key: string): number {
    const { limits } = this.#parts;
    const byKind: Record<string, number> = {
      user: limits.perUser,
      token: limits.perToken,
      container: limits.perContainer,
      "containers-of": limits.perUserContainers,
      address: limits.perAddress,
      [ANONYMOUS]: limits.anonymous,
    };
    return byKind[key.split(" ")[0] ?? ""] ?? Number.POSITIVE_INFINITY;
  }

  /** The owner, whose sessions are paused together; null for an anonymous session from an unknown network. */
  ownerOf(name: Pick<SessionName, "user" | "key">, network: string | null): string | null {
    const [first] = this.countsOf(name, network);
    return first === undefined || first.key === ANONYMOUS ? null : first.key;
  }

  #counts(keys: readonly string[]): Count[] {
    return keys.map((key) => ({ key, limit: this.limitOf(key) }));
  }
}

/** Why one more session is refused, or null. */
export function boundRefusal(counts: readonly Count[], sessions: Sessions, now: number): Fault | null {
  for (const { key, limit } of counts) {
    const count = sessions.countOf(key, limit, now);
    if (count >= limit) return fault("login.too_many_sessions", { whose: key, count, limit });
  }
  return null;
}

/**
 * The newest sessions above the limit of a count: two replicas may each have accepted the last one.
 * @param leaving sessions that are being cut already
 */
export function excessOf({ key, limit }: Count, sessions: Sessions, leaving: WeakSet<Session>, now: number): Session[] {
  if (sessions.countOf(key, limit + 1, now) <= limit) return [];
  const staying = sessions.counted(key, now).filter((one) => !sessions.isPending(one) && !leaving.has(one));
  if (staying.length <= limit) return [];
  return staying.sort((a, b) => a.since - b.since || a.cid - b.cid).slice(limit);
}
