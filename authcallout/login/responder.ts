/**
 * Answers nats-server's logins: opens the question, lets `authorize` decide, signs and seals the answer. There is no `await` between the
 * last check of the lease and `respond`; after each wait (for BARRIER or Arvados' API) the lease is checked again.
 */
import type { Msg } from "@nats-io/nats-core";
import { CLOCK_MARGIN_MS } from "../../core/barrier/timing.ts";
import { Fault, fault } from "../../core/errors.ts";
import { formatRevision } from "../../core/revision.ts";
import type { Identity } from "../../core/token/token-index.ts";
import { LogLimiter } from "../../runtime/log/limiter.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { sleep } from "../../runtime/sleep.ts";
import type { GuessLimit } from "../bounds/guess-limit.ts";
import type { Session, Sessions } from "../sessions/sessions.ts";
import { type Admitted, type AuthorizerOptions, authorize, type GraphView, type Lookup } from "./authorizer.ts";
import { sealedAnswer, userJwt } from "./callout-answer.ts";
import { type CalloutRequest, decodeRequest, type RequestKeys } from "./callout-request.ts";
import { type OnOutage, type Reply, replyTo } from "./reply.ts";

export type Question = Pick<Msg, "data" | "headers" | "respond">;

export type ResponderParts = {
  keys: RequestKeys;
  view: GraphView;
  options: AuthorizerOptions;
  sessions: Sessions;
  guesses: GuessLimit;
  /** Bounds and pauses (session-guard.ts). Left out: there are none. */
  guard?: {
    refusal(who: Identity, sid: string, host: string): Fault | null;
    admitted(session: Session, host: string): void;
  };
  /** Milliseconds before a login that the guard refuses is answered, so that the client does not retry at once. Default 0. */
  refuseAfter?: number;
  /** Null = tokens that the graph does not know are refused without asking Arvados' API. */
  lookup: (Lookup & { ask(token: string): Promise<void> }) | null;
  /** Milliseconds that a login waits for the lookup: well under nats-server's own timeout. */
  lookupPatience: number;
  onOutage: OnOutage;
  /** May a login be answered at this moment (core/barrier/tenure.ts)? */
  mayAnswer: () => boolean;
  /** Null if BARRIER knows the server; otherwise resolves once it does: a removal must reach the sessions of every server. */
  announce: (server: { name: string; id: string }) => Promise<void> | null;
  /** Null if every process can find the session's token; otherwise resolves once BARRIER holds an alias. */
  alias: (identity: Identity) => Promise<void> | null;
  /** Bytes of the largest message that nats-server accepts. */
  maxPayload: () => number;
  now: () => number;
  random: () => number;
  log: Logger;
  onResult: (result: "admitted" | Reply["result"], code: string, grants: number) => void;
};

/** The guard's refusals. */
const GUARDED: readonly string[] = ["login.paused", "login.too_many_sessions"];
/** How many refusals may be held back at a time. */
const MOST_HELD = 1_000;
/** Log lines for one reason and address in ten seconds; the others are counted. */
const REFUSAL_LINES = 200;

export class Responder {
  readonly #parts: ResponderParts;
  readonly #lines: LogLimiter;
  #held = 0;

  constructor(parts: ResponderParts) {
    this.#parts = parts;
    this.#lines = new LogLimiter({ log: parts.log, now: parts.now, lines: REFUSAL_LINES });
  }

  /** False if no login can be answered now. */
  accept(message: Question): boolean {
    if (!this.#parts.mayAnswer()) return false;
    this.#guarded(() => this.#open(message));
    return true;
  }

  /** Refuses a login that waited too long for its turn. */
  shed(message: Question, why: Fault): void {
    // Opening a question costs as much as answering it.
    if (replyTo(why.code, this.#parts.onOutage).silent) return;
    this.#guarded(() => {
      const request = this.#opened(message);
      if (request) this.#refuse(message, request, why);
    });
  }

  #open(message: Question): void {
    const request = this.#opened(message);
    if (!request) return;
    const unknown = this.#parts.announce(request.server);
    if (unknown === null) this.#answer(message, request);
    else this.#answerAfter(unknown, message, request);
  }

  #opened(message: Question): CalloutRequest | null {
    const { keys, now, onResult, log, onOutage } = this.#parts;
    const request = decodeRequest(message.data, message.headers?.get("Nats-Server-Xkey"), keys, now());
    if (!(request instanceof Fault)) return request;
    // The question does not say whom to answer.
    onResult(replyTo(request.code, onOutage).result, request.code, 0);
    log.warn({ ...request.facts }, request.message);
    return null;
  }

  #answerAfter(stored: Promise<void>, message: Question, request: CalloutRequest): void {
    void stored.then(
      () => this.#guarded(() => this.#answer(message, request)),
      () => this.#guarded(() => this.#refuse(message, request, fault("login.no_lease"))),
    );
  }

  /** @param asked Arvados' API has been asked, or at least waited for */
  #answer(message: Question, request: CalloutRequest, asked = false): void {
    const { now, mayAnswer, guesses } = this.#parts;
    // Checked again, since time may have passed. From here to `respond` there is no `await`.
    if (!mayAnswer()) return this.#refuse(message, request, fault("login.no_lease"));
    const issuedAt = Math.floor(now() / 1000);
    const outcome = this.#decide(request);
    if (outcome === null) return this.#lookUp(message, request, asked);
    if (outcome instanceof Fault) {
      guesses.refused(request.host, outcome, now());
      return GUARDED.includes(outcome.code)
        ? this.#refuseLater(message, request, outcome)
        : this.#refuse(message, request, outcome);
    }
    const unknown = this.#parts.alias(outcome.identity);
    if (unknown) return this.#answerAfter(unknown, message, request);
    const jwt = userJwt(request.keys.signer, request.userNkey, outcome.admission, issuedAt);
    const body = sealedAnswer(request, { jwt }, issuedAt);
    if (body.length > this.#parts.maxPayload()) {
      const facts = { user: outcome.session.user, count: outcome.grants, bytes: body.length };
      return this.#refuse(message, request, fault("answer.too_large", facts));
    }
    this.#admit(message, request, outcome, body);
  }

  #decide(request: CalloutRequest): Admitted | Fault | null {
    const { guesses, guard, view, lookup, options, now, random } = this.#parts;
    if (request.refusal) return request.refusal;
    const { host } = request;
    const refusal = (who: Identity, sid: string) => guard?.refusal(who, sid, host) ?? null;
    const outcome = authorize(request, view, lookup, options, now(), random(), refusal);
    // A known token is accepted even if others at its address guess: only guesses, and looking them up, are limited.
    const isGuess = outcome === null || (outcome instanceof Fault && guesses.isGuess(outcome));
    return isGuess && guesses.isExhausted(host, now()) ? fault("login.guessing", { host }) : outcome;
  }

  #lookUp(message: Question, request: CalloutRequest, asked: boolean): void {
    const { lookup, lookupPatience, guesses, now } = this.#parts;
    if (!lookup || asked) {
      const late = fault("lookup.unavailable", {
        reason: "it has not answered in time, or the token's row has not arrived yet",
      });
      return this.#refuse(message, request, late);
    }
    guesses.hold(request.host, now());
    const patience = new AbortController();
    void Promise.race([lookup.ask(request.token), sleep(lookupPatience, patience.signal)]).then(() => {
      patience.abort();
      guesses.release(request.host, now());
      this.#guarded(() => this.#answer(message, request, true));
    });
  }

  #admit(message: Question, request: CalloutRequest, { session, grants }: Admitted, body: Buffer): void {
    const { sessions, guard, now, onResult, log } = this.#parts;
    const known = {
      server: request.server.id,
      cid: request.cid,
      name: session,
      since: now(),
      pendingUntil: request.expires * 1000 + CLOCK_MARGIN_MS,
    };
    guard?.admitted(known, request.host);
    // Added before it is answered, so that a removal that comes now finds it.
    sessions.add(known);
    message.respond(body);
    onResult("admitted", "", grants);
    log.debug({ user: session.user, revision: formatRevision(session.revision) }, "login admitted");
  }

  /** Holds the refusal back, because the client retries when it arrives. If too many are held, none is sent: nats-server's timeout follows. */
  #refuseLater(message: Question, request: CalloutRequest, why: Fault): void {
    const { refuseAfter = 0 } = this.#parts;
    if (refuseAfter === 0) return this.#refuse(message, request, why);
    if (this.#held >= MOST_HELD) return this.#refuse(message, request, why, true);
    this.#held += 1;
    setTimeout(() => {
      this.#held -= 1;
      this.#guarded(() => this.#refuse(message, request, why));
    }, refuseAfter).unref();
  }

  /** A refusal never becomes a session, so it needs no lease. */
  #refuse(message: Question, request: CalloutRequest, why: Fault, unanswered = false): void {
    const { onOutage, onResult, now } = this.#parts;
    const { result, silent } = replyTo(why.code, onOutage);
    if (!silent && !unanswered) message.respond(sealedAnswer(request, { error: why.code }, Math.floor(now() / 1000)));
    onResult(result, why.code, 0);
    const { host, cid } = request;
    const level = result === "denied" ? "info" : "warn";
    const fields = () => ({ ...why.facts, code: why.code, host, cid });
    this.#lines.say(level, `${why.code} ${host}`, fields, `login refused: ${why.message}`);
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (failure) {
      this.#parts.onResult("failed", "", 0);
      this.#parts.log.error({ err: failure }, "a login could not be answered");
    }
  }
}
