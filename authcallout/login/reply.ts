/** The reply to a login that fails: `handling` in core/error-table.ts decides, and for outages the setting `callout.onOutage`. Pure. */
import { ERRORS, type ErrorCode, type Handling } from "../../core/errors.ts";

export type OnOutage = "deny" | "abort";
export type Reply = {
  /** The metric's label. */
  result: "denied" | "outage" | "ignored" | "failed";
  /** No answer is sent: nats-server refuses the client after its own timeout. */
  silent: boolean;
};

const REPLIES: Record<Handling, (onOutage: OnOutage) => Reply> = {
  deny: () => ({ result: "denied", silent: false }),
  retry: (onOutage) => ({ result: "outage", silent: onOutage === "abort" }),
  abort: () => ({ result: "ignored", silent: true }),
  // No login should meet these: the failure is the service's, not the client's.
  config: () => ({ result: "failed", silent: true }),
  bug: () => ({ result: "failed", silent: true }),
};

export function replyTo(code: ErrorCode, onOutage: OnOutage): Reply {
  return REPLIES[ERRORS[code].handling](onOutage);
}
