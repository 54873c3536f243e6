/** What a client hears of each failure: decided by the handling in core/errors.ts and one setting, and by nothing else. */
import assert from "node:assert/strict";
import { type OnOutage, type Reply, replyTo } from "../../../authcallout/login/reply.ts";
import { ERRORS, type ErrorCode, type Handling } from "../../../core/errors.ts";

const HEARD: Record<Handling, Record<OnOutage, Reply>> = {
  deny: { deny: { result: "denied", silent: false }, abort: { result: "denied", silent: false } },
  retry: { deny: { result: "outage", silent: false }, abort: { result: "outage", silent: true } },
  abort: { deny: { result: "ignored", silent: true }, abort: { result: "ignored", silent: true } },
  config: { deny: { result: "failed", silent: true }, abort: { result: "failed", silent: true } },
  bug: { deny: { result: "failed", silent: true }, abort: { result: "failed", silent: true } },
};

/** Every failure that a login can meet. */
const LOGIN_FAILURES: Partial<Record<ErrorCode, Handling>> = {
  "token.malformed": "deny",
  "token.unknown": "deny",
  "token.expired": "deny",
  "token.refresh": "deny",
  "token.container": "deny",
  "user.inactive": "deny",
  "session.id": "deny",
  "grants.too_many": "deny",
  "answer.too_large": "deny",
  "login.guessing": "deny",
  "graph.stale": "retry",
  "lookup.unavailable": "retry",
  "login.no_lease": "retry",
  "login.overload": "abort",
  "callout.request": "abort",
};

describe("a login that fails", () => {
  for (const [code, handling] of Object.entries(LOGIN_FAILURES) as [ErrorCode, Handling][]) {
    for (const onOutage of ["deny", "abort"] as const) {
      const heard = HEARD[handling][onOutage];
      it(`${code} is ${heard.result}${heard.silent ? ", in silence" : ""} with callout.onOutage: ${onOutage}`, () => {
        assert.equal(ERRORS[code].handling, handling);
        assert.deepEqual(replyTo(code, onOutage), heard);
      });
    }
  }
});
