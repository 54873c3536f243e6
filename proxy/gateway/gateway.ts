/**
 * The gateway's verbs: requests on `api.<token>.<sid>.<verb>`. nats-server lets only that session publish there, so the subject
 * says who asks; an answer goes only to a subject inside that session's own inbox.
 */
import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
import { type Msg, headers as makeHeaders, type NatsConnection, type Subscription } from "@nats-io/nats-core";
import type { Logger } from "pino";
import type { ZodType } from "zod";
import { Fault, fault } from "../../core/errors.ts";
import { formatRevision } from "../../core/revision.ts";
import { permissionsOf } from "../../core/session/session-permissions.ts";
import { formatSessionKey, type SessionKey, type Subjects, VERBS, type Verb } from "../../core/subjects.ts";
import { HEADER, type TailOpened, type WhoamiAnswer } from "../../core/wire/wire.ts";
import { LogLimiter } from "../../runtime/log/limiter.ts";
import type { Access } from "./access.ts";
import { RecordsSequence } from "./records-sequence.ts";
import { MOST_BODY, type RequestLimits } from "./request-limits.ts";
import { type ServedTails, TAILS } from "./served-tails.ts";
import { moreRequest, stopRequest, tailRequest } from "./tail-request.ts";

export type GatewayParts = {
  app: NatsConnection;
  js: JetStreamClient;
  jsm: JetStreamManager;
  subjects: Subjects;
  access: Access;
  tails: ServedTails;
  limits: RequestLimits;
  log: Logger;
  /** UTC ms. */
  now: () => number;
  /** A verb was answered; `code` is the fault's, or empty. */
  onAnswer: (verb: string, code: string) => void;
  /** A request was dropped without an answer. */
  onDrop: () => void;
  /** A session floods the gateway: authcallout should cut it. */
  onFlood: (key: SessionKey, user: string) => void;
};

type Asked = { key: SessionKey; body: unknown; reply: string };

const QUEUE_GROUP = "arvados-nats-gateway";

export class Gateway {
  readonly #parts: GatewayParts;
  readonly #lines: LogLimiter;
  readonly #sequence: RecordsSequence;
  #subscription: Subscription | null = null;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
    this.#lines = new LogLimiter({ log: parts.log, now: parts.now });
    this.#sequence = new RecordsSequence(async () => (await parts.jsm.streams.info("RECORDS")).state.last_seq);
  }

  start(): void {
    const { app, subjects, log } = this.#parts;
    this.#subscription = app.subscribe(subjects.apiRequests, {
      queue: QUEUE_GROUP,
      callback: (error, message) => {
        if (error) log.error({ reason: error.message }, "the gateway's subscription failed");
        else this.#onRequest(message);
      },
    });
  }

  async drain(): Promise<void> {
    await this.#subscription?.drain();
    this.#parts.tails.endAll("draining");
  }

  /** Checks size and rate first: a dropped request costs others only its delivery. */
  #onRequest(message: Msg): void {
    const { access, subjects, limits, now, onDrop, onFlood } = this.#parts;
    const { subject, data, reply = "" } = message;
    const { key, verb } = subjects.parseApi(subject);
    const session = formatSessionKey(key);
    const at = now();
    // A reply elsewhere would have us publish, with our rights, where the asker may not.
    const canAnswer = subjects.isReplyOf(key, reply);
    let verdict = limits.ofSession(session, verb, data.length, at, canAnswer);
    const isLarge = data.length > MOST_BODY;
    if (verdict === "drop" && !isLarge) return onDrop();
    const user = access.identity(key)?.user ?? null;
    if (user !== null && verdict === "drop") verdict = limits.ofLarge(session, user, at);
    if (user !== null && verdict === "accept") verdict = limits.ofUser(user, verb, at, canAnswer);
    if (user !== null && verdict === "flood") {
      limits.flooded(user, at);
      onFlood(key, user);
    }
    if (verdict === "drop" || verdict === "flood") return onDrop();
    if (reply !== "" && !canAnswer) return this.#refuse(verb, key.sessionToken, "", fault("verb.reply"));
    if (verdict !== "accept") {
      const why = isLarge
        ? fault("verb.body", { verb: verb.slice(0, 40), reason: `it has ${data.length} bytes, more than ${MOST_BODY}` })
        : fault("limit.reached", { whose: "this session, or its user", what: "requests a second, or under way" });
      return this.#refuse(verb, key.sessionToken, reply, why);
    }
    const done = limits.begin(session, user);
    void this.#run(verb, key, message, reply).finally(done);
  }

  async #run(verb: string, key: SessionKey, message: Msg, reply: string): Promise<void> {
    const { app, onAnswer, tails } = this.#parts;
    try {
      const answer = await this.#answer(verb, { key, body: parseBody(verb, message), reply });
      onAnswer(verb, "");
      if (answer && reply !== "") app.publish(reply, JSON.stringify(answer));
      if (verb === "tail" && answer) tails.start((answer as TailOpened).id);
    } catch (error) {
      this.#refuse(verb, key.sessionToken, reply, error);
    }
  }

  #answer(verb: string, asked: Asked): Promise<object> | object {
    switch (verb as Verb) {
      case "whoami":
        return this.#whoami(asked);
      case "tail":
        return this.#tail(asked);
      case "more": {
        const { id, n } = parse(moreRequest, verb, asked.body);
        this.#parts.tails.addCredit(asked.key, id, n);
        return {};
      }
      case "stop":
        this.#parts.tails.stop(asked.key, parse(stopRequest, verb, asked.body).id);
        return {};
      default:
        throw fault("verb.unknown", { verb: verb.slice(0, 40), known: VERBS.join(", ") });
    }
  }

  async #whoami({ key }: Asked): Promise<WhoamiAnswer> {
    const { access, subjects } = this.#parts;
    // Before the rights are read: what comes later than this sequence is delivered under them or later ones.
    const sequence = await this.#sequence.now();
    const identity = access.identity(key);
    if (!identity) throw fault("token.expired", { token: key.sessionToken });
    const permissions = permissionsOf(subjects, key, access.rights(identity));
    return {
      user_uuid: identity.user,
      token_uuid: identity.token,
      session: formatSessionKey(key),
      grants: { subscribe: permissions.sub.allow, publish: permissions.pub.allow },
      revision: formatRevision(access.revision()),
      records_sequence: sequence,
    };
  }

  #tail({ key, body, reply }: Asked): TailOpened {
    const { access, app, js, jsm, subjects, tails } = this.#parts;
    const { container, file, from, window } = parse(tailRequest, "tail", body);
    if (reply === "") throw fault("verb.body", { verb: "tail", reason: "it needs a reply subject" });
    const object = { uuid: container, resource: "containers", owner: null } as const;
    const refusal = () => access.refusal(key, object);
    const refused = refusal();
    if (refused) throw refused;
    const user = access.identity(key)?.user ?? "";
    const subject = subjects.log(container, file);
    return { id: tails.open(key, user, { app, js, jsm, reply, subject, from, credit: window, refusal }) };
  }

  /** @param why a fault, or what failed in the gateway. A session can cause any number of refusals, so the log limits them. */
  #refuse(verb: string, token: string, reply: string, why: unknown): void {
    const { app, log, onAnswer } = this.#parts;
    const known = why instanceof Fault ? why : null;
    const code = known?.code ?? "internal";
    const label = VERBS.includes(verb as Verb) ? verb : "unknown";
    onAnswer(label, code);
    if (!known) this.#lines.say("error", "internal", () => ({ err: why, verb: label, token }), "a verb failed");
    if (reply === "") {
      // The metric counts it: anybody can send any number.
      if (known) log.debug({ token, verb: label, code }, known.message);
      return;
    }
    const headers = makeHeaders();
    headers.set(HEADER.errorCode, statusOf(known));
    headers.set(HEADER.error, code);
    const body = known
      ? { code, message: known.message, remedy: known.remedy }
      : { code, message: "the gateway failed; its log says why", remedy: "try again" };
    if (!app.isClosed()) app.publish(reply, JSON.stringify(body), { headers });
  }
}

/** As in HTTP: what passes is told from what does not. */
function statusOf(known: Fault | null): string {
  if (!known) return "500";
  if (known.code === "graph.stale") return "503";
  if (known.code === "tail.unknown") return "404";
  // Further tails are not there by waiting, requests are.
  if (known.code === "limit.reached") return known.facts.what === TAILS ? "403" : "429";
  return known.code.startsWith("verb.") ? "400" : "403";
}

function parseBody(verb: string, message: Msg): unknown {
  if (message.data.length === 0) return {};
  try {
    return message.json();
  } catch {
    throw fault("verb.body", { verb: verb.slice(0, 40), reason: "it is not JSON" });
  }
}

function parse<T>(schema: ZodType<T>, verb: string, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw fault("verb.body", { verb, reason: `${issue?.path.join(".") || "body"}: ${issue?.message}` });
}
