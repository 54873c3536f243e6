/**
 * How many sessions there may be, and as whose each one counts. Nobody fills the places of others: a user counts by user and by token, a
 * container's token by itself (whoever has many containers running is not shut out by them), and whoever is anonymous by address, since
 * all of them have one token. Pure.
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
  /** Who a session's token is, as far as it is known here. */
  identity: (sessionToken: string) => Pick<Identity, "token" | "containers"> | null;
};

const ANONYMOUS = "anonymous";
/** Bounded: of sessions that were forgotten the oldest go first. */
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

  /** Where an anonymous session came from: known to the replica that answered it, which tells the others. */
  placed(server: string, cid: number, network: string): void {
    keepNewest(this.#places, KEPT_PLACES, `${server}:${cid}`, network);
  }

  placeOf(server: string, cid: number): string | null {
    return this.#places.get(`${server}:${cid}`) ?? null;
  }

  /**
   * What a session counts towards; the first says whose it is.
   * @param network of an anonymous one; null = not known
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

  /** Whose session it is, for what concerns all sessions of somebody; null for an anonymous one of nobody knows where. */
  ownerOf(name: Pick<SessionName, "user" | "key">, network: string | null): string | null {
    const [first] = this.countsOf(name, network);
    return first === undefined || first.key === ANONYMOUS ? null : first.key;
  }

  #counts(keys: readonly string[]): Count[] {
    return keys.map((key) => ({ key, limit: this.limitOf(key) }));
  }
}

/** Why one more cannot come in, or null. */
export function boundRefusal(counts: readonly Count[], sessions: Sessions, now: number): Fault | null {
  for (const { key, limit } of counts) {
    const count = sessions.countOf(key, limit, now);
    if (count >= limit) return fault("login.too_many_sessions", { whose: key, count, limit });
  }
  return null;
}

/**
 * Of those counted so, the ones that are too many: the newest. Two replicas may each have let in the last one.
 * @param leaving being cut already
 */
export function excessOf({ key, limit }: Count, sessions: Sessions, leaving: WeakSet<Session>, now: number): Session[] {
  if (sessions.countOf(key, limit + 1, now) <= limit) return [];
  const staying = sessions.counted(key, now).filter((one) => !sessions.isPending(one) && !leaving.has(one));
  if (staying.length <= limit) return [];
  return staying.sort((a, b) => a.since - b.since || a.cid - b.cid).slice(limit);
}
