/**
 * How this replica answers logins: from the queue group into the queue, and from there to the responder. main.ts joins the group once a
 * lease is held.
 */
import type { NatsConnection } from "@nats-io/nats-core";
import { fault } from "../../core/errors.ts";
import type { Subjects } from "../../core/subjects.ts";
import { aliasOf } from "../../core/token/aliases.ts";
import type { Identity } from "../../core/token/token-index.ts";
import type { PermissionReplica } from "../../replica/permission-replica.ts";
import type { Config } from "../../runtime/config/config.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { BarrierMember } from "../barrier/barrier-member.ts";
import { GuessLimit } from "../bounds/guess-limit.ts";
import type { SessionGuard } from "../bounds/session-guard.ts";
import type { ServerWatch } from "../revocation/server-watch.ts";
import { LoginQueue } from "./login-queue.ts";
import { QueueGroup } from "./queue-group.ts";
import { requestKeys } from "./request-keys.ts";
import { type Question, Responder, type ResponderParts } from "./responder.ts";

export type LoginsParts = {
  core: NatsConnection;
  responder: Responder;
  mayAnswer: () => boolean;
  /** Milliseconds: nats-server's authorization timeout. */
  authTimeout: number;
  measured: {
    /** A login's turn has come; the returned function marks its answer. */
    login: () => () => void;
    shed: (code: string) => void;
  };
  log: Logger;
  /** A seam: the question as the responder gets it. */
  question?: (real: Question) => Question;
};

export type Logins = { group: QueueGroup; waiting: () => number };

export type CreateResponderParts = Pick<ResponderParts, "sessions" | "lookup" | "onResult" | "log"> & {
  config: Config;
  core: NatsConnection;
  subjects: Subjects;
  replica: PermissionReplica;
  guard: SessionGuard;
  member: Pick<BarrierMember, "mayAnswer" | "publish">;
  watch: Pick<ServerWatch, "announce">;
};

const QUEUE_LENGTH = 5_000;
/** How long the queue waits if no login can be answered. */
const HOLD_MS = 20;
/** The share of nats-server's authorization timeout that a login may wait for its turn. */
const PATIENCE = 0.75;
/** The share of that timeout after which a login over its bounds is refused: the client then retries less often. */
const REFUSE_AFTER = 0.75;
/** nats-server counts headers and subject too. */
const PAYLOAD_MARGIN = 1_024;
/** nats-server's default max_payload. */
const DEFAULT_MAX_PAYLOAD = 1024 * 1024;

export function createLogins(parts: LoginsParts): Logins {
  const { core, responder, mayAnswer, authTimeout, measured, log, question = (real) => real } = parts;
  const queue = new LoginQueue<Question>({
    start(message) {
      const end = measured.login();
      const accepted = responder.accept(message);
      if (accepted) end();
      return accepted;
    },
    onShed(message, waited) {
      const why = fault(mayAnswer() ? "login.overload" : "login.no_lease", { ms: Math.round(waited) });
      measured.shed(why.code);
      log.warn({ ...why.facts }, why.message);
      responder.shed(message, why);
    },
    patience: authTimeout * PATIENCE,
    length: QUEUE_LENGTH,
    now: () => performance.now(),
    later: (callback, wait) => void (wait ? setTimeout(callback, HOLD_MS) : setImmediate(callback)),
  });
  return { group: new QueueGroup(core, log, (message) => queue.push(question(message))), waiting: () => queue.length };
}

export function createResponder(parts: CreateResponderParts): Responder {
  const { config, core, subjects, replica, sessions, guard, lookup, member, watch, log, onResult } = parts;
  return new Responder({
    keys: requestKeys(config),
    view: replica,
    options: {
      clusterId: config.clusterId,
      subjects,
      sessionTtl: config.sessionTtl,
      stalenessRefuse: config.stalenessRefuse,
      grantsMax: config.grantsMax,
    },
    sessions,
    guesses: new GuessLimit(config.guessesPerMinute),
    guard,
    refuseAfter: config.authTimeout * REFUSE_AFTER,
    lookup,
    lookupPatience: config.authTimeout / 2,
    onOutage: config.onOutage,
    mayAnswer: () => member.mayAnswer(),
    announce: (server) => watch.announce(server.name, server.id),
    alias: (identity) => publishAlias(parts, identity),
    maxPayload: () => (core.info?.max_payload ?? DEFAULT_MAX_PAYLOAD) - PAYLOAD_MARGIN,
    now: Date.now,
    random: Math.random,
    log,
    onResult,
  });
}

/** Null if every process can find the session's token; otherwise resolves once BARRIER holds the alias. */
function publishAlias({ replica, member }: CreateResponderParts, identity: Identity): Promise<void> | null {
  const known = replica.tokens.bySessionToken(identity.sessionToken, Date.now());
  if (known?.token === identity.token && known.expiresAt === identity.expiresAt) return null;
  const alias = aliasOf(identity);
  return member.publish({ kind: "alias", ...alias }).then(() => replica.remember(alias));
}
