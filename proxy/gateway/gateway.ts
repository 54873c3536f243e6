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
import { permissionsOf } from "../../core/session-permissions.ts";
import { formatSessionKey, type SessionKey, type Subjects, VERBS, type Verb } from "../../core/subjects.ts";
import { HEADER, type TailOpened, type WhoamiAnswer } from "../../core/wire.ts";
import type { Access } from "./access.ts";
import { moreRequest, stopRequest, tailRequest } from "./tail-request.ts";
import type { Tails } from "./tails.ts";

export type GatewayParts = {
  app: NatsConnection;
  js: JetStreamClient;
  jsm: JetStreamManager;
  subjects: Subjects;
  access: Access;
  tails: Tails;
  log: Logger;
  /** A verb was answered; `code` is the fault's, or empty. */
  onAnswer: (verb: string, code: string) => void;
};

type Asked = { key: SessionKey; body: unknown; reply: string };

const QUEUE_GROUP = "arvados-nats-gateway";

export class Gateway {
  readonly #parts: GatewayParts;
  #subscription: Subscription | null = null;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
  }

  start(): void {
    const { app, subjects, log } = this.#parts;
    this.#subscription = app.subscribe(subjects.apiAll, {
      queue: QUEUE_GROUP,
      callback: (error, message) => {
        if (error) log.error({ reason: error.message }, "the gateway's subscription failed");
        else void this.#take(message);
      },
    });
  }

  async drain(): Promise<void> {
    await this.#subscription?.drain();
    this.#parts.tails.endAll("draining");
  }

  async #take(message: Msg): Promise<void> {
    const { app, subjects, log, onAnswer } = this.#parts;
    const [token = "", sid = "", verb = ""] = message.subject.slice(subjects.root.length + ".api.".length).split(".");
    const key = { token, sid };
    const reply = message.reply ?? "";
    // A reply elsewhere would have us publish, with our rights, where the asker may not. The metric counts it: anybody can send any number.
    if (reply !== "" && !subjects.isReplyOf(key, reply)) {
      onAnswer("refused", "verb.reply");
      return log.debug({ token }, fault("verb.reply").message);
    }
    try {
      const answer = await this.#answer(verb, { key, body: parseBody(verb, message), reply });
      onAnswer(verb, "");
      if (answer && reply !== "") app.publish(reply, JSON.stringify(answer));
      if (verb === "tail" && answer) this.#parts.tails.start((answer as TailOpened).id);
    } catch (error) {
      const known = error instanceof Fault ? error : null;
      const isVerb = VERBS.includes(verb as Verb);
      onAnswer(isVerb ? verb : "unknown", known?.code ?? "internal");
      if (!known) log.error({ err: error, verb }, "a verb failed");
      if (reply !== "") this.#refuse(reply, known);
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
        this.#parts.tails.grant(asked.key, id, n);
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
    const { access, jsm, subjects } = this.#parts;
    // Before the rights are read: what comes later than this sequence is delivered under them or later ones.
    const { state } = await jsm.streams.info("RECORDS");
    const identity = access.identity(key);
    if (!identity) throw fault("token.expired", { token: key.token });
    const permissions = permissionsOf(subjects, key, access.rights(identity));
    return {
      user_uuid: identity.user,
      token_uuid: identity.token,
      session: formatSessionKey(key),
      grants: { subscribe: permissions.sub.allow, publish: permissions.pub.allow },
      revision: formatRevision(access.revision()),
      records_sequence: state.last_seq,
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

  #refuse(reply: string, known: Fault | null): void {
    const headers = makeHeaders();
    headers.set(HEADER.errorCode, statusOf(known));
    headers.set(HEADER.error, known?.code ?? "internal");
    const body = known
      ? { code: known.code, message: known.message, remedy: known.remedy }
      : { code: "internal", message: "the gateway failed; its log says why", remedy: "try again" };
    this.#parts.app.publish(reply, JSON.stringify(body), { headers });
  }
}

/** As in HTTP: what passes is told from what does not. */
function statusOf(known: Fault | null): string {
  if (!known) return "500";
  if (known.code === "graph.stale") return "503";
  if (known.code === "tail.unknown") return "404";
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
