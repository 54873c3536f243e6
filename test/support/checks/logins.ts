/** Signing in with a token at a real nats-server, and what is behind it: who it is, or why not. */
import assert from "node:assert/strict";
import { errors, type NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { connectOptions, sessionId } from "../../../client/mod.ts";
import type { WhoamiAnswer } from "../../../core/wire/wire.ts";
import { until } from "../../../dev/testing/until.ts";
import { createLog, type Logger } from "../../../runtime/log/log.ts";
import { inSpiteOfStalls } from "../servers/stalls.ts";
import type { TestStack } from "../worlds/stack.ts";

export type Login = { nc: NatsConnection; whoami(): Promise<WhoamiAnswer> };

export class Logins {
  readonly log: Logger;
  /** What the services said: the reason of a refusal is in the log alone, nats-server tells a client nothing. */
  readonly lines: string[] = [];
  readonly #stack: () => TestStack;

  constructor(stack: () => TestStack) {
    this.#stack = stack;
    this.log = createLog({ level: "debug", format: "json", sink: { write: (line) => this.lines.push(line) } });
  }

  async login(token: string, sid = sessionId()): Promise<Login> {
    const options = await connectOptions(token, sid);
    const nc = await inSpiteOfStalls(() => connect({ servers: this.#stack().nats.url, ...options, reconnect: false }));
    const subject = `arvados.zzzzz.api.${options.inboxPrefix.slice("_INBOX.".length)}.whoami`;
    const whoami = async () => {
      const answer = await nc.request(subject, "", { timeout: 5_000 });
      assert.equal(answer.headers?.get("Nats-Service-Error-Code") ?? "", "");
      return answer.json<WhoamiAnswer>();
    };
    return { nc, whoami };
  }

  async whoIs(token: string): Promise<WhoamiAnswer> {
    const login = await this.login(token);
    const who = await answered(login);
    await login.nc.close();
    return who;
  }

  /** The same, once the graph has the token. */
  isKnown(token: string): Promise<WhoamiAnswer> {
    return until(() => this.whoIs(token).catch(() => null), "the graph to have the token");
  }

  /** The code for which it lets nobody in; of the last try, where a stall asked for another one. */
  async refusalOf(signIn: () => Promise<unknown>): Promise<string> {
    const from = this.lines.length;
    await assert.rejects(signIn(), (error) => error instanceof errors.AuthorizationError);
    const said = () => this.lines.slice(from).findLast((line) => line.includes("login refused"));
    const line = await until(said, "the reason in the log");
    return (JSON.parse(line) as { code: string }).code;
  }
}

/** The gateway may learn of a session a moment after nats-server. Rejects at once where the session is cut meanwhile. */
export function answered({ nc, whoami }: Login): Promise<WhoamiAnswer> {
  const ask = () =>
    whoami().catch((error) => {
      if (nc.isClosed()) throw error;
      return null;
    });
  return until(ask, "the gateway to know the session");
}
