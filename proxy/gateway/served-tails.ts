/**
 * The tails of all sessions: opened, fed with credit, ended when a right goes, when the session ends, when the client falls silent, when we
 * drain. Each user may have so many; and of the last of all there are those who have few.
 */
import { randomUUID } from "node:crypto";
import type { Logger } from "pino";
import type { CloseName } from "../../core/close-codes.ts";
import { fault, reasonOf } from "../../core/errors.ts";
import { sessionLookupKeys } from "../../core/session/session.ts";
import type { SessionKey } from "../../core/subjects.ts";
import { LogLimiter } from "../../runtime/log/limiter.ts";
import { ServedTail, type TailParts } from "./served-tail.ts";

/** A client that says nothing for this long is gone: it sends `more`, with 0 if need be. */
const SILENCE_MS = 60_000;

/** From this part of all on, only who has few may have more: nobody is shut out by those who have many. */
const RESERVED_FROM = 0.8;
const FEW = 4;
/** All that are anonymous share one user, and this part of all. */
const ANONYMOUS_PART = 0.1;
/** What the limit is of, in its fault. */
export const TAILS = "logs followed at a time";

export type TailLimits = {
  perUser: number;
  total: number;
  isAnonymous: (user: string) => boolean;
};

type OpenTail = { id: string; session: string; user: string; key: SessionKey; tail: ServedTail };

export class ServedTails {
  readonly #entries = new Map<string, OpenTail>();
  readonly #bySession = new Map<string, Set<OpenTail>>();
  readonly #limits: TailLimits;
  /** User, or of an anonymous one its session -> how many. */
  readonly #counts = new Map<string, number>();
  readonly #lines: LogLimiter;
  readonly #now: () => number;
  readonly #onOpen: (subject: string) => void;

  constructor(limits: TailLimits, log: Logger, now: () => number, onOpen: (subject: string) => void = () => {}) {
    this.#limits = limits;
    this.#lines = new LogLimiter({ log, now });
    this.#now = now;
    this.#onOpen = onOpen;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The logs that are being followed; one that several follow comes several times. */
  *subjects(): Generator<string> {
    for (const { tail } of this.#entries.values()) yield tail.subject;
  }

  open(key: SessionKey, user: string, parts: TailParts): string {
    const session = sessionOf(key);
    this.#refuseBeyond(user, session);
    const entry: OpenTail = { id: randomUUID(), session, user, key, tail: new ServedTail(parts, this.#now()) };
    this.#entries.set(entry.id, entry);
    this.#bySession.set(session, (this.#bySession.get(session) ?? new Set()).add(entry));
    this.#count(entry, 1);
    return entry.id;
  }

  /** Starts sending: after the client has been told the id. */
  start(id: string): void {
    const entry = this.#entries.get(id);
    if (!entry) return;
    this.#onOpen(entry.tail.subject);
    entry.tail
      .run()
      .catch((error) => {
        if (entry.tail.ended) return;
        this.#lines.say("warn", "broke", () => ({ user: entry.user, reason: reasonOf(error) }), "a tail broke");
        entry.tail.end("tailFailed");
      })
      .finally(() => {
        this.#entries.delete(id);
        this.#count(entry, -1);
        const others = this.#bySession.get(entry.session);
        others?.delete(entry);
        if (others?.size === 0) this.#bySession.delete(entry.session);
      });
  }

  addCredit(key: SessionKey, id: string, n: number): void {
    this.#own(key, id).tail.addCredit(n, this.#now());
  }

  stop(key: SessionKey, id: string): void {
    this.#own(key, id).tail.end("stopped");
  }

  /** Looks again at the tails of these users and tokens; with null, at all. */
  recheck(lookupKeys: ReadonlySet<string> | null): void {
    for (const entry of this.#entries.values()) {
      if (lookupKeys === null || sessionLookupKeys(entry).some((one) => lookupKeys.has(one))) entry.tail.recheck();
    }
  }

  endSilent(): void {
    const limit = this.#now() - SILENCE_MS;
    for (const { tail } of this.#entries.values()) if (tail.seen < limit) tail.end("clientSilent");
  }

  /** A session is gone: what it followed is followed for nobody. */
  endSession(key: SessionKey): void {
    for (const { tail } of this.#bySession.get(sessionOf(key)) ?? []) tail.end("sessionEnded");
  }

  endAll(because: CloseName): void {
    for (const { tail } of this.#entries.values()) tail.end(because);
  }

  #refuseBeyond(user: string, session: string): void {
    const { perUser, total, isAnonymous } = this.#limits;
    const refuse = (whose: string) => fault("limit.reached", { whose, what: TAILS });
    const isNobody = isAnonymous(user);
    const own = this.#countOf(isNobody ? session : user);
    if (own >= perUser) throw refuse(isNobody ? "this session" : "this user");
    if (isNobody && this.#countOf(user) >= Math.max(1, total * ANONYMOUS_PART)) throw refuse("all that are anonymous");
    const isScarce = this.size >= total * RESERVED_FROM;
    if (this.size >= total || (isScarce && own >= FEW)) throw refuse("this gateway");
  }

  #countOf(whose: string): number {
    return this.#counts.get(whose) ?? 0;
  }

  #count({ user, session }: OpenTail, by: number): void {
    for (const whose of this.#limits.isAnonymous(user) ? [user, session] : [user]) {
      const count = this.#countOf(whose) + by;
      if (count > 0) this.#counts.set(whose, count);
      else this.#counts.delete(whose);
    }
  }

  /** A tail belongs to the session that opened it, and nobody else's guess of its id helps. */
  #own(key: SessionKey, id: string): OpenTail {
    const entry = this.#entries.get(id);
    if (entry?.session !== sessionOf(key)) throw fault("tail.unknown", { id });
    return entry;
  }
}

function sessionOf({ sessionToken: token, sid }: SessionKey): string {
  return `${token}.${sid}`;
}
