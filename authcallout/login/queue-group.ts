/**
 * This replica's membership in the queue group of logins. With a fresh graph and a lease it is a member. With a stale graph it leaves, so
 * that another replica answers; if there is no other, it stays and refuses with the reason. Without a lease it leaves in any case: a
 * process that was suspended does not know yet which other replicas there are.
 *
 *   out ──leased, and fit or nobody else is──► in ──lease lost, or unfit and another is fit──► out
 */
import type { Msg, NatsConnection, Subscription } from "@nats-io/nats-core";
import { reasonOf } from "../../core/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";

const CALLOUT_SUBJECT = "$SYS.REQ.USER.AUTH";
const GROUP = "arvados-nats-authcallout";

/** Pure. */
export function shouldAcceptLogins(state: { serving: boolean; fit: boolean; anotherIsFit: boolean }): boolean {
  return state.serving && (state.fit || !state.anotherIsFit);
}

export class QueueGroup {
  readonly #core: NatsConnection;
  readonly #log: Logger;
  readonly #onLogin: (message: Msg) => void;
  #subscription: Subscription | null = null;

  constructor(core: NatsConnection, log: Logger, onLogin: (message: Msg) => void) {
    this.#core = core;
    this.#log = log;
    this.#onLogin = onLogin;
  }

  get isIn(): boolean {
    return this.#subscription !== null;
  }

  join(): void {
    if (this.#subscription) return;
    this.#subscription = this.#core.subscribe(CALLOUT_SUBJECT, {
      queue: GROUP,
      callback: (error, message) => {
        if (error) this.#log.error({ reason: reasonOf(error) }, "the callout subscription failed");
        else this.#onLogin(message);
      },
    });
  }

  /** Drains: logins that were delivered already are still answered. */
  async leave(): Promise<void> {
    const leaving = this.#subscription;
    this.#subscription = null;
    await leaving?.drain().catch(() => undefined);
  }

  /** At once, without the server: no login can be answered, and a reconnect must not restore the subscription. */
  drop(): void {
    this.#subscription?.unsubscribe();
    this.#subscription = null;
  }
}
