/**
 * Keeps a session's grants current: does what `grants-state.ts` decides. It asks the gateway, hands the grants to those that subscribe,
 * and renews the login. client.ts feeds it with what happens to the connection.
 */
import type { WhoamiAnswer } from "../core/wire/wire.ts";
import { GatewayError } from "./ask.ts";
import { advanceGrants, GRANTS_START, type GrantsAction, type GrantsInput } from "./grants-state.ts";
import { Renewal } from "./renewal.ts";
import type { Timers } from "./timers.ts";

const ASK_AGAIN_MS = [50, 100, 200, 400, 800, 1_600, 3_000];

export type SessionGrantsParts = {
  timers: Timers;
  /** 0 <= random < 1. */
  random: () => number;
  whoami(): Promise<WhoamiAnswer>;
  /** Changes the subscriptions to these grants; rejects if the connection is lost meanwhile. */
  subscribe(grants: readonly string[]): Promise<void>;
  /** Ends the connection so that the library logs in again. */
  renew(): void;
  /** The subscriptions are those of the last answer. */
  onFollowing(): void;
  /** The session has ended and must not come back. */
  onEnd(): void;
};

export class SessionGrants {
  readonly #parts: SessionGrantsParts;
  readonly #renewal: Renewal;
  #state = GRANTS_START;
  #tries = 0;
  #questions = 0;
  #cancelAsk = () => {};
  #stopped = false;

  constructor(parts: SessionGrantsParts) {
    this.#parts = parts;
    this.#renewal = new Renewal(parts.timers, parts.random, () => {
      this.#cancelAsk();
      parts.renew();
    });
  }

  /** The last answer in force; null while there is none. */
  get who(): WhoamiAnswer | null {
    return this.#state.who;
  }

  send(input: GrantsInput): void {
    if (this.#stopped) return;
    // The next login is a fresh one in any case.
    if (input.type === "down") this.#renewal.forget();
    const step = advanceGrants(this.#state, input);
    this.#state = step.state;
    for (const action of step.actions) this.#perform(action);
  }

  /** Applies the last answer again: a listener was added. */
  subscribeAgain(): void {
    if (this.who !== null) void this.#subscribe(this.who.grants.subscribe);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelAsk();
    this.#renewal.stop();
  }

  #perform(action: GrantsAction): void {
    // An answer that was asked for before the renewal still counts.
    if (action.do === "renew") return this.#renewal.want();
    this.#cancelAsk();
    switch (action.do) {
      case "ask":
        this.#tries = 0;
        void this.#ask();
        return;
      case "askLater":
        this.#askLater();
        return;
      case "subscribe":
        void this.#subscribe(action.grants);
        return;
      case "end":
        this.#parts.onEnd();
        return;
    }
  }

  async #ask(): Promise<void> {
    this.#questions += 1;
    const number = this.#questions;
    const who = await this.#parts.whoami().catch((error: unknown) => {
      if (error instanceof GatewayError) return null;
      throw error;
    });
    // An answer to a question of the previous connection, or its timeout, says nothing about this one.
    if (number === this.#questions) this.send(who === null ? { type: "unanswered" } : { type: "answer", who });
  }

  #askLater(): void {
    const wait = ASK_AGAIN_MS[this.#tries] ?? ASK_AGAIN_MS.at(-1)!;
    this.#cancelAsk = this.#parts.timers.after(wait, () => void this.#ask());
    this.#tries += 1;
  }

  async #subscribe(grants: readonly string[]): Promise<void> {
    const { subscribe, onFollowing } = this.#parts;
    try {
      await subscribe(grants);
    } catch {
      // The connection is lost: the next `up` asks and subscribes again.
      return;
    }
    const { phase } = this.#state;
    if (!this.#stopped && (phase === "current" || phase === "renewing")) onFollowing();
  }
}
