/** The tails of all sessions: opened, fed with credit, ended when a right goes, when the client falls silent, when we drain. */
import { randomUUID } from "node:crypto";
import type { Logger } from "pino";
import type { CloseName } from "../../core/close-codes.ts";
import { fault, reasonOf } from "../../core/errors.ts";
import { sessionMarks } from "../../core/session.ts";
import type { SessionKey } from "../../core/subjects.ts";
import { Tail, type TailParts } from "./tail.ts";

/** A client that says nothing for this long is gone: it sends `more`, with 0 if need be. */
const SILENCE_MS = 60_000;

type Entry = { id: string; session: string; user: string; key: SessionKey; tail: Tail };

export class Tails {
  readonly #entries = new Map<string, Entry>();
  readonly #limit: number;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #onOpen: (subject: string) => void;

  constructor(limit: number, log: Logger, now: () => number, onOpen: (subject: string) => void = () => {}) {
    this.#limit = limit;
    this.#log = log;
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
    const count = [...this.#entries.values()].filter((entry) => entry.session === session).length;
    if (count >= this.#limit) throw fault("limit.reached", { count, what: "tails" });
    const entry: Entry = { id: randomUUID(), session, user, key, tail: new Tail(parts, this.#now()) };
    this.#entries.set(entry.id, entry);
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
        this.#log.warn({ user: entry.user, reason: reasonOf(error) }, "a tail broke");
        entry.tail.end("draining");
      })
      .finally(() => this.#entries.delete(id));
  }

  grant(key: SessionKey, id: string, n: number): void {
    this.#own(key, id).tail.grant(n, this.#now());
  }

  stop(key: SessionKey, id: string): void {
    this.#own(key, id).tail.end("stopped");
  }

  /** Looks again at the tails of these users and tokens; with null, at all. */
  recheck(marks: ReadonlySet<string> | null): void {
    for (const entry of this.#entries.values()) {
      if (marks === null || sessionMarks(entry).some((mark) => marks.has(mark))) entry.tail.recheck();
    }
  }

  endSilent(): void {
    const limit = this.#now() - SILENCE_MS;
    for (const { tail } of this.#entries.values()) if (tail.seen < limit) tail.end("slowConsumer");
  }

  endAll(because: CloseName): void {
    for (const { tail } of this.#entries.values()) tail.end(because);
  }

  /** A tail belongs to the session that opened it, and nobody else's guess of its id helps. */
  #own(key: SessionKey, id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry?.session !== sessionOf(key)) throw fault("tail.unknown", { id });
    return entry;
  }
}

function sessionOf({ token, sid }: SessionKey): string {
  return `${token}.${sid}`;
}
