/**
 * Answers nats-server's logins: opens the question, lets `authorize` decide, signs and seals the answer. Between the last look at the
 * lease and `respond` nothing waits; whatever has to be waited for (BARRIER, Arvados' API) leads back to that look.
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
  /** How many sessions there may be, and who has to wait (session-guard.ts). Left out: nobody is bounded. */
  guard?: {
    refusal(who: Identity, sid: string, host: string): Fault | null;
    admitted(session: Session, host: string): void;
  };
  /** Milliseconds for which a login that the guard refuses is not answered, so that it is not repeated at once; left out: none. */
  refuseAfter?: number;
  /** Null = nobody is asked about tokens that the graph does not know. */
  lookup: (Lookup & { ask(token: string): Promise<void> }) | null;
  /** Milliseconds that a login waits for the lookup: well under nats-server's own timeout. */
  lookupPatience: number;
  onOutage: OnOutage;
  /** May a login be answered at this moment (core/barrier/tenure.ts)? */
  mayAnswer: () => boolean;
  /** Null where BARRIER knows the server; else resolves once it does: a removal must find every session wherever it is. */
  announce: (server: { name: string; id: string }) => Promise<void> | null;
  /** Null where everybody can tell the session's token from its name; else resolves once they can. */
  alias: (identity: Identity) => Promise<void> | null;
  /** Largest message that nats-server takes. */
  maxPayload: () => number;
  now: () => number;
  random: () => number;
  log: Logger;
  onResult: (result: "admitted" | Reply["result"], code: string, grants: number) => void;
};

/** What the guard refuses with. */
const GUARDED: readonly string[] = ["login.paused", "login.too_many_sessions"];
const MOST_HELD = 1_000;
/** Of one reason and address in ten seconds; the rest is counted. */
const REFUSAL_LINES = 200;

export class Responder {
  readonly #parts: ResponderParts;
  readonly #lines: LogLimiter;
  #held = 0;

  constructor(parts: ResponderParts) {
    this.#parts = parts;
    this.#lines = new LogLimiter({ log: parts.log, now: parts.now, lines: REFUSAL_LINES });
  }

  /** False where no login can be answered now. */
  accept(message: Question): boolean {
    if (!this.#parts.mayAnswer()) return false;
    this.#guarded(() => this.#open(message));
    return true;
  }

  /** One that waited too long for its turn, for this reason. */
  shed(message: Question, why: Fault): void {
    // Opening it costs as much as answering it: not done for nothing.
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
    // There is nobody to answer.
    onResult(replyTo(request.code, onOutage).result, request.code, 0);
    log.warn({ ...request.facts }, request.message);
    return null;
  }

  #answerAfter(word: Promise<void>, message: Question, request: CalloutRequest): void {
    void word.then(
      () => this.#guarded(() => this.#answer(message, request)),
      () => this.#guarded(() => this.#refuse(message, request, fault("login.no_lease"))),
    );
  }

  /** @param asked Arvados' API has been asked, or at least waited for */
  #answer(message: Question, request: CalloutRequest, asked = false): void {
    const { now, mayAnswer, guesses } = this.#parts;
    // Asked again, since time may have passed: from here to `respond` nothing waits.
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
    // Whoever is known comes in: others at the address may be guessing. What is limited is guessing, and asking about guesses.
    const isGuess = outcome === null || (outcome instanceof Fault && guesses.isGuess(outcome));
    return isGuess && guesses.isExhausted(host, now()) ? fault("login.guessing", { host }) : outcome;
  }

  #lookUp(message: Question, request: CalloutRequest, asked: boolean): void {
    const { lookup, lookupPatience, guesses, now } = this.#parts;
    if (!lookup || asked) {
      const late = fault("lookup.unavailable", {
        reason: "it has not answered in time, or its row is still on its way",
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
    // Known before it is answered: a removal that comes now finds it.
    sessions.add(known);
    message.respond(body);
    onResult("admitted", "", grants);
    log.debug({ user: session.user, revision: formatRevision(session.revision) }, "login admitted");
  }

  /** Who comes back at once would cost as much as before. Where many wait, nothing is said, and nats-server's own timeout is the wait. */
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
