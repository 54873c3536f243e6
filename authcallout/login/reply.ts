/** What a client hears of a failure at its login: `handling` in core/errors.ts decides, and for outages the setting `callout.onOutage`. Pure. */
import { ERRORS, type ErrorCode, type Handling } from "../../core/errors.ts";

export type OnOutage = "deny" | "abort";
export type Reply = {
  /** The metric's label. */
  result: "denied" | "outage" | "ignored" | "failed";
  /** Nothing is answered: nats-server gives up after its own timeout. */
  silent: boolean;
};

const REPLIES: Record<Handling, (onOutage: OnOutage) => Reply> = {
  deny: () => ({ result: "denied", silent: false }),
  retry: (onOutage) => ({ result: "outage", silent: onOutage === "abort" }),
  abort: () => ({ result: "ignored", silent: true }),
  // No login should meet these: what went wrong is ours, and says nothing about the client.
  config: () => ({ result: "failed", silent: true }),
  bug: () => ({ result: "failed", silent: true }),
};

export function replyTo(code: ErrorCode, onOutage: OnOutage): Reply {
  return REPLIES[ERRORS[code].handling](onOutage);
}
