/** Answers nats-server's logins: opens the question, lets `authorize` decide, signs and seals the answer. */
import type { KeyObject } from "node:crypto";
import type { Msg } from "@nats-io/nats-core";
import { CLOCK_MARGIN_MS } from "../core/barrier/timing.ts";
import { Fault, fault } from "../core/errors.ts";
import { formatRevision } from "../core/revision.ts";
import type { Logger } from "../runtime/log.ts";
import { type Admitted, type AuthorizerOptions, authorize, type GraphView } from "./authorizer.ts";
import { sealedAnswer, userJwt } from "./callout-answer.ts";
import { type CalloutRequest, decodeRequest } from "./callout-request.ts";
import type { GuessLimit } from "./guess-limit.ts";
import type { Signer, Verifier } from "./jwt.ts";
import type { Sessions } from "./sessions.ts";
import type { Sealer } from "./xkey.ts";

export type Question = Pick<Msg, "data" | "headers" | "respond">;

export type ResponderParts = {
  keys: { signer: Signer; sealer: Sealer; verifier: Verifier; edge: KeyObject };
  view: GraphView;
  options: AuthorizerOptions;
  sessions: Sessions;
  guesses: GuessLimit;
  /** May a login be answered at this moment (core/barrier/tenure.ts)? */
  mayAnswer: () => boolean;
  /** Null where BARRIER knows the server; else resolves once it does: a removal must find every session wherever it is. */
  announce: (server: { name: string; id: string }) => Promise<void> | null;
  /** Null where everybody can tell the session's token from its name; else resolves once they can. */
  alias: (session: string, token: string) => Promise<void> | null;
  /** Largest message that nats-server takes. */
  maxPayload: () => number;
  now: () => number;
  random: () => number;
  log: Logger;
  onResult: (result: "admitted" | "denied" | "ignored" | "failed", code: string, grants: number) => void;
};

export class Responder {
  readonly #parts: ResponderParts;

  constructor(parts: ResponderParts) {
    this.#parts = parts;
  }

  /** False where no login can be answered now. */
  take(message: Question): boolean {
    if (!this.#parts.mayAnswer()) return false;
    this.#guarded(() => this.#open(message));
    return true;
  }

  #open(message: Question): void {
    const { keys, announce, now, onResult, log } = this.#parts;
    const request = decodeRequest(message.data, message.headers?.get("Nats-Server-Xkey"), keys, now());
    if (request instanceof Fault) {
      onResult("ignored", request.code, 0);
      log.warn({ ...request.facts }, request.message);
      return;
    }
    const unknown = announce(request.server);
    if (unknown === null) this.#answer(message, request);
    else this.#answerAfter(unknown, message, request);
  }

  #answerAfter(word: Promise<void>, message: Question, request: CalloutRequest): void {
    void word.then(
      () => this.#guarded(() => this.#answer(message, request)),
      () => this.#ignore(fault("login.no_lease")),
    );
  }

  #answer(message: Question, request: CalloutRequest): void {
    const { now, mayAnswer, keys, guesses } = this.#parts;
    // Asked again, since time may have passed: from here to `respond` nothing waits.
    if (!mayAnswer()) return this.#ignore(fault("login.no_lease"));
    const issuedAt = Math.floor(now() / 1000);
    const outcome = this.#decide(request);
    if (outcome instanceof Fault) {
      guesses.refused(request.host, outcome, now());
      return this.#deny(message, request, outcome, issuedAt);
    }
    const unknown = this.#parts.alias(outcome.session.key.token, outcome.token);
    if (unknown) return this.#answerAfter(unknown, message, request);
    const jwt = userJwt(keys.signer, request.userNkey, outcome.admission, issuedAt);
    const body = sealedAnswer(keys, request, { jwt }, issuedAt);
    if (body.length > this.#parts.maxPayload()) {
      const facts = { user: outcome.session.user, count: outcome.grants, bytes: body.length };
      return this.#deny(message, request, fault("answer.too_large", facts), issuedAt);
    }
    this.#admit(message, request, outcome, body);
  }

  #decide(request: CalloutRequest): Admitted | Fault {
    const { guesses, view, options, now, random } = this.#parts;
    if (request.refusal) return request.refusal;
    if (guesses.isExhausted(request.host, now())) return fault("login.guessing", { host: request.host });
    return authorize(request, view, options, now(), random());
  }

  #admit(message: Question, request: CalloutRequest, { session, grants }: Admitted, body: Buffer): void {
    const { sessions, now, onResult, log } = this.#parts;
    // Known before it is answered: a removal that comes now finds it.
    sessions.add({
      server: request.server.id,
      cid: request.cid,
      name: session,
      since: now(),
      pendingUntil: request.expires * 1000 + CLOCK_MARGIN_MS,
    });
    message.respond(body);
    onResult("admitted", "", grants);
    log.debug({ user: session.user, revision: formatRevision(session.revision) }, "login admitted");
  }

  #deny(message: Question, request: CalloutRequest, refusal: Fault, issuedAt: number): void {
    const { keys, onResult, log } = this.#parts;
    message.respond(sealedAnswer(keys, request, { error: refusal.code }, issuedAt));
    onResult("denied", refusal.code, 0);
    const { host, cid } = request;
    log.info({ ...refusal.facts, code: refusal.code, host, cid }, `login refused: ${refusal.message}`);
  }

  #ignore(why: Fault): void {
    this.#parts.onResult("ignored", why.code, 0);
    this.#parts.log.warn({ ...why.facts }, why.message);
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
