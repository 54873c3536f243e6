/**
 * How a session follows its grants. Pure: `advanceGrants(state, input)` returns the next state and what to do.
 *
 *   down --up--> asking --answer--> current --(notice: grown, moved)--> renewing --down, up--> asking
 *                                      |--(notice: shrunk)--> asking        (a KICK comes as down, up)
 *                                      |--(a granted pattern is refused)--> renewing, at most 3 times a revision
 *                                      `--(notice: do not come back)--> ended
 *
 * A renewal may wait (renewal.ts): the connection stays open meanwhile, and an answer that was requested before still counts.
 *
 * A connection has the permissions of its JWT, from its login; `whoami` returns the current grants. So new rights need a new login, and
 * a granted pattern that is refused means that the login is older than the answer.
 */
import { CLOSE_CODES } from "../core/close-codes.ts";
import { atLeast, parseRevision } from "../core/revision.ts";
import type { Notice, WhoamiAnswer } from "../core/wire/wire.ts";

const RENEWALS_PER_REVISION = 3;

export type GrantsPhase = "down" | "asking" | "current" | "renewing" | "ended";

export type GrantsState = {
  readonly phase: GrantsPhase;
  readonly who: WhoamiAnswer | null;
  /** The newest revision that a notice named: an answer of an older one is not final. */
  readonly notBefore: string | null;
  /** Logins spent on granted patterns that were refused, at one revision. */
  readonly renewals: { readonly revision: string; readonly count: number };
};

export type GrantsInput =
  | { type: "up" }
  | { type: "down" }
  | { type: "answer"; who: WhoamiAnswer }
  | { type: "unanswered" }
  | { type: "notice"; notice: Notice }
  /** The server refused a subscription to a pattern that the last answer grants. */
  | { type: "refused" };

export type GrantsAction =
  | { do: "ask" }
  /** Ask again after a while: there was no answer, or the gateway's graph is older than a notice. */
  | { do: "askLater" }
  | { do: "subscribe"; grants: readonly string[] }
  | { do: "renew" }
  | { do: "end"; notice: Notice };

export type GrantsStep = { state: GrantsState; actions: GrantsAction[] };

export const GRANTS_START: GrantsState = {
  phase: "down",
  who: null,
  notBefore: null,
  renewals: { revision: "", count: 0 },
};

export function advanceGrants(state: GrantsState, input: GrantsInput): GrantsStep {
  const still: GrantsStep = { state, actions: [] };
  if (state.phase === "ended") return still;
  switch (input.type) {
    case "up":
      // A new login: the known grants may be those of the login before.
      return { state: { ...state, phase: "asking", who: null }, actions: [{ do: "ask" }] };
    case "down":
      return { state: { ...state, phase: "down", who: null }, actions: [] };
    case "unanswered":
      return state.phase === "asking" || isBlind(state) ? { state, actions: [{ do: "askLater" }] } : still;
    case "answer":
      return answered(state, input.who);
    case "notice":
      return noticed(state, input.notice);
    case "refused":
      return refused(state);
  }
}

function answered(state: GrantsState, who: WhoamiAnswer): GrantsStep {
  const subscribe: GrantsAction = { do: "subscribe", grants: who.grants.subscribe };
  if (isBlind(state)) return { state: { ...state, who }, actions: [subscribe] };
  if (state.phase !== "asking") return { state, actions: [] };
  // The grants of an older answer are used meanwhile: the server enforces the rights in any case.
  if (state.notBefore !== null && isOlder(who.revision, state.notBefore)) {
    return { state: { ...state, who }, actions: [subscribe, { do: "askLater" }] };
  }
  return { state: { ...state, phase: "current", who, notBefore: null }, actions: [subscribe] };
}

/** The session must renew and has no answer yet. */
function isBlind(state: GrantsState): boolean {
  return state.phase === "renewing" && state.who === null;
}

function noticed(state: GrantsState, notice: Notice): GrantsStep {
  if (!notice.reconnect) return { state: { ...state, phase: "ended" }, actions: [{ do: "end", notice }] };
  const newest = state.notBefore !== null && isOlder(notice.revision, state.notBefore);
  const notified: GrantsState = { ...state, notBefore: newest ? state.notBefore : notice.revision };
  switch (notice.code) {
    case CLOSE_CODES.permissionsGrown.code:
    case CLOSE_CODES.objectsMoved.code:
      return renewing(notified);
    case CLOSE_CODES.permissionsChanged.code:
      if (state.phase === "down" || state.phase === "renewing") return { state: notified, actions: [] };
      return { state: { ...notified, phase: "asking" }, actions: [{ do: "ask" }] };
    default:
      return { state, actions: [] };
  }
}

function refused(state: GrantsState): GrantsStep {
  // Before the answer a refusal is expected: after a cut the library repeats its earlier subscriptions.
  if (state.phase !== "current" || state.who === null) return { state, actions: [] };
  const { revision } = state.who;
  const count = state.renewals.revision === revision ? state.renewals.count + 1 : 1;
  if (count > RENEWALS_PER_REVISION) return { state, actions: [] };
  return renewing({ ...state, renewals: { revision, count } });
}

function renewing(state: GrantsState): GrantsStep {
  // Down: the next login is a new one anyway. Renewing: it is under way.
  if (state.phase === "down" || state.phase === "renewing") return { state, actions: [] };
  return { state: { ...state, phase: "renewing" }, actions: [{ do: "renew" }] };
}

/** Is revision `a` older than `b`? A text that is no revision is not older. */
function isOlder(a: string, b: string): boolean {
  const [left, right] = [parseRevision(a), parseRevision(b)];
  return left !== null && right !== null && !atLeast(left, right);
}
