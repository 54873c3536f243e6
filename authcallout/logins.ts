/** The way of a login through this replica: from the queue group into the queue, from there to the responder. */
import type { NatsConnection } from "@nats-io/nats-core";
import { fault } from "../core/errors.ts";
import type { Logger } from "../runtime/log/log.ts";
import { LoginQueue } from "./login/login-queue.ts";
import { QueueGroup } from "./login/queue-group.ts";
import type { Question, Responder } from "./login/responder.ts";
import type { CalloutMetrics } from "./metrics.ts";

export type LoginsParts = {
  core: NatsConnection;
  responder: Responder;
  mayAnswer: () => boolean;
  /** Milliseconds, as nats-server has it. */
  authTimeout: number;
  measured: Pick<CalloutMetrics, "login" | "shed">;
  log: Logger;
  /** A seam: the question as the responder gets it. */
  question?: (real: Question) => Question;
};

const QUEUE_LENGTH = 5_000;
const HOLD_MS = 20;

export function createLogins(parts: LoginsParts): { group: QueueGroup; waiting: () => number } {
  const { core, responder, mayAnswer, authTimeout, measured, log, question = (real) => real } = parts;
  const queue = new LoginQueue<Question>({
    start(message) {
      const end = measured.login();
      const taken = responder.accept(message);
      if (taken) end();
      return taken;
    },
    onShed(message, waited) {
      const why = fault(mayAnswer() ? "login.overload" : "login.no_lease", { ms: Math.round(waited) });
      measured.shed(why.code);
      log.warn({ ...why.facts }, why.message);
      responder.shed(message, why);
    },
    patience: authTimeout * 0.75,
    length: QUEUE_LENGTH,
    now: () => performance.now(),
    later: (callback, wait) => void (wait ? setTimeout(callback, HOLD_MS) : setImmediate(callback)),
  });
  return { group: new QueueGroup(core, log, (message) => queue.push(question(message))), waiting: () => queue.length };
}
