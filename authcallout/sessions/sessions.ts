/**
 * The sessions that may be alive, as a superset, from answers to logins, CONNECT events and listings. A session leaves by its DISCONNECT
 * event, or if it is missing from a listing of its server that was requested after its answer. Pure.
 */
import type { Revision } from "../../core/revision.ts";
import { type SessionName, sessionLookupKeys } from "../../core/session/session.ts";

export type Session = {
  server: string;
  cid: number;
  name: SessionName;
  /** UTC ms of the answer or sighting. */
  since: number;
  /** Only for an answer of this replica that is not confirmed: until then (UTC ms) it may still become a session. */
  pendingUntil?: number;
};

export class Sessions {
  readonly #countsOf: (session: Session) => readonly string[];
  readonly #all = new Map<string, Session>();
  /** The counts that a session was added to, so that it is removed from the same ones. */
  readonly #counts = new Map<Session, readonly string[]>();
  readonly #byCount = new Map<string, Set<Session>>();
  /** Answers of which only a listing showed that they became sessions. */
  readonly #listed = new WeakSet<Session>();
  readonly #byLookupKey = new Map<string, Set<Session>>();
  readonly #pending = new Set<Session>();

  /** @param countsOf the counts that a session is part of (session-bounds.ts) */
  constructor(countsOf: (session: Session) => readonly string[] = () => []) {
    this.#countsOf = countsOf;
  }

  get size(): number {
    return this.#all.size;
  }

  add(session: Session): void {
    const key = keyOf(session.server, session.cid);
    const old = this.#all.get(key);
    if (old) this.#remove(key, old);
    this.#all.set(key, session);
    this.#count(session);
    if (session.pendingUntil !== undefined) this.#pending.add(session);
    for (const lookupKey of sessionLookupKeys(session.name)) {
      const set = this.#byLookupKey.get(lookupKey) ?? new Set();
      this.#byLookupKey.set(lookupKey, set.add(session));
    }
  }

  /** The known session of that connection, or the given one. */
  known(session: Session): Session {
    return this.#all.get(keyOf(session.server, session.cid)) ?? session;
  }

  /** The session has exactly the rights of this revision, as if it had logged in now. */
  renew(session: Session, revision: Revision): void {
    session.name = { ...session.name, revision };
  }

  remove(server: string, cid: number): void {
    const key = keyOf(server, cid);
    const session = this.#all.get(key);
    if (session) this.#remove(key, session);
  }

  /** Counts a session again: its network became known. */
  recount(server: string, cid: number): Session | null {
    const session = this.#all.get(keyOf(server, cid));
    if (!session) return null;
    this.#uncount(session);
    this.#count(session);
    return session;
  }

  /** How many sessions are in a count. Exact if it is `from` or more; otherwise an upper bound, which is cheaper. */
  countOf(count: string, from: number, now: number): number {
    const size = this.#byCount.get(count)?.size ?? 0;
    return size < from ? size : this.counted(count, now).length;
  }

  /** The sessions of a count, without answers that never became one. */
  counted(count: string, now: number): Session[] {
    const isThere = (one: Session) => (one.pendingUntil ?? Number.POSITIVE_INFINITY) > now || this.#listed.has(one);
    return [...(this.#byCount.get(count) ?? [])].filter(isThere);
  }

  /** All counts. */
  counts(): Iterable<string> {
    return this.#byCount.keys();
  }

  /** A full listing of one server, requested at `askedAt`: sessions answered before that and not in it are gone. */
  listed(server: string, listing: readonly Session[], askedAt: number): void {
    const there = new Set(listing.map((session) => session.cid));
    for (const session of [...this.#all.values()]) {
      const gone = session.server === server && session.since < askedAt && !there.has(session.cid);
      if (gone) this.remove(server, session.cid);
    }
    for (const session of listing) {
      const known = this.#all.get(keyOf(server, session.cid));
      if (known) this.#listed.add(known);
      else this.add(session);
    }
  }

  /** The server has ended, and its sessions with it. */
  forgetServer(server: string): void {
    for (const session of [...this.#all.values()]) if (session.server === server) this.remove(server, session.cid);
  }

  /** Sessions of any of these users, tokens or containers. */
  of(lookupKeys: Iterable<string>): Set<Session> {
    const out = new Set<Session>();
    for (const lookupKey of lookupKeys) for (const session of this.#byLookupKey.get(lookupKey) ?? []) out.add(session);
    return out;
  }

  /** The sessions that receive the same notices: those with the same user and session key. */
  like({ name: { user, key } }: { name: Pick<SessionName, "user" | "key"> }): Session[] {
    // The narrowest key: a user may have thousands.
    const lookupKey = sessionLookupKeys({ user, key }).at(-1) ?? user;
    return [...this.of([lookupKey])].filter(
      ({ name }) => name.user === user && name.key.sessionToken === key.sessionToken && name.key.sid === key.sid,
    );
  }

  /** Answers of this replica that may still become sessions. */
  pending(now: number): Session[] {
    for (const session of this.#pending) if ((session.pendingUntil ?? 0) <= now) this.#pending.delete(session);
    return [...this.#pending];
  }

  isPending(session: Session): boolean {
    return this.#pending.has(session);
  }

  all(): Session[] {
    return [...this.#all.values()];
  }

  #remove(key: string, session: Session): void {
    this.#all.delete(key);
    this.#pending.delete(session);
    this.#uncount(session);
    for (const lookupKey of sessionLookupKeys(session.name)) {
      const set = this.#byLookupKey.get(lookupKey);
      set?.delete(session);
      if (set?.size === 0) this.#byLookupKey.delete(lookupKey);
    }
  }

  #count(session: Session): void {
    const counts = this.#countsOf(session);
    if (counts.length === 0) return;
    this.#counts.set(session, counts);
    for (const count of counts) {
      const set = this.#byCount.get(count) ?? new Set();
      this.#byCount.set(count, set.add(session));
    }
  }

  #uncount(session: Session): void {
    for (const count of this.#counts.get(session) ?? []) {
      const set = this.#byCount.get(count);
      set?.delete(session);
      if (set?.size === 0) this.#byCount.delete(count);
    }
    this.#counts.delete(session);
  }
}

function keyOf(server: string, cid: number): string {
  return `${server}:${cid}`;
}
