/**
 * The tail of one log file, as state. Pure: `advanceTail(state, input)` returns the next state and what to do.
 *
 *   opening --opened--> open --down--> lost --up--> opening (from the next byte wanted)
 *      |                 |--notice, come back--> opening, later
 *      |--fault 5xx, unanswered--> opening, later
 *      |                 |--unknown to the gateway--> opening, later
      `-----------------`--notice, do not come back | fault 4xx | stop--> ended
 *
 * Each opening is an attempt with its own reply subject, so messages of an earlier attempt are recognized. Bytes are delivered once and
 * in order: overlaps are removed by their offset, gaps are reported.
 */
import { CLOSE_CODES, type CloseName, isCloseName } from "../core/close-codes.ts";
import type { TailRequest } from "../core/wire/wire.ts";

const DEFAULT_WINDOW = 64;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;

export type TailFrom = NonNullable<TailRequest["from"]>;

/** Why a tail ended: one of the close codes, or `refused` with what the gateway said. */
export type TailEnd = { notice: CloseName | "refused"; code: number; reason: string; reconnect: boolean };

export type TailState = {
  readonly phase: "opening" | "open" | "lost" | "ended";
  readonly attempt: number;
  /** The gateway's id of this tail, from its first answer. */
  readonly id: string | null;
  readonly from: TailFrom;
  /** Offset of the next byte wanted; null until the first chunk of a `last` tail says where it begins. */
  readonly next: number | null;
  readonly window: number;
  /** The gateway has accepted this tail before: a refusal after that means that the right is lost. */
  readonly begun: boolean;
  /** Messages delivered since the last `more`. */
  readonly used: number;
  /** Attempts in a row without a chunk. */
  readonly failures: number;
};

export type TailInput =
  | { type: "opened"; attempt: number; id: string }
  /** `offset` null: the message has none, so it counts as the next. */
  | { type: "chunk"; attempt: number; offset: number | null; bytes: Uint8Array }
  /** The application has handled a chunk. */
  | { type: "delivered"; attempt: number }
  | { type: "notice"; attempt: number; name: string }
  /** `fault`: the error's code in core/errors.ts. */
  | { type: "fault"; attempt: number; code: number; fault: string; reason: string }
  | { type: "unanswered"; attempt: number }
  /** Some time has passed: the gateway ends a tail whose client sends nothing. */
  | { type: "tick"; attempt: number }
  /** The gateway does not know this tail, or does not answer. */
  | { type: "unknown"; attempt: number }
  | { type: "down" }
  | { type: "up" }
  | { type: "stop" };

export type TailAction =
  | { do: "open"; attempt: number; from: TailFrom; window: number; afterMs: number }
  | { do: "deliver"; attempt: number; bytes: Uint8Array; offset: number }
  /** Bytes `from` to `to` are no longer stored. */
  | { do: "gap"; from: number; to: number }
  | { do: "more"; attempt: number; id: string; n: number }
  /** Stop this tail (an earlier attempt, or a stopped one) at the gateway. */
  | { do: "leave"; id: string }
  | { do: "end"; end: TailEnd };

export type TailStep = { state: TailState; actions: TailAction[] };

export function startTail(from: TailFrom, window = DEFAULT_WINDOW): TailState {
  const next = typeof from === "number" ? from : from === "start" ? 0 : null;
  return { phase: "lost", attempt: 0, id: null, from, next, window, begun: false, used: 0, failures: 0 };
}

export function advanceTail(state: TailState, input: TailInput): TailStep {
  if (state.phase === "ended") return { state, actions: [] };
  // The current attempt has repeated, or will repeat, what an earlier attempt still sends.
  if ("attempt" in input && input.attempt !== state.attempt) return { state, actions: [] };
  switch (input.type) {
    case "up":
      return open(state, 0);
    case "down":
      return { state: { ...state, phase: "lost" }, actions: [] };
    case "opened":
      return credit({ ...state, phase: "open", id: input.id, begun: true });
    case "chunk":
      return chunk(state, input.offset ?? state.next ?? 0, input.bytes);
    case "delivered":
      return credit({ ...state, used: state.used + 1 });
    case "notice":
      return notice(state, input.name);
    case "fault":
      return fault(state, input);
    case "unanswered":
      return state.phase === "opening" && state.id === null ? retry(state) : { state, actions: [] };
    case "tick":
      return state.phase === "open" ? more(state) : { state, actions: [] };
    case "unknown":
      return state.phase === "open" ? retry({ ...state, id: null }) : { state, actions: [] };
    case "stop":
      return end(state, { notice: "stopped", ...CLOSE_CODES.stopped }, leave(state));
  }
}

function open(state: TailState, afterMs: number): TailStep {
  const attempt = state.attempt + 1;
  const from = state.next ?? state.from;
  return {
    state: { ...state, phase: "opening", attempt, id: null, used: 0 },
    actions: [...leave(state), { do: "open", attempt, from, window: state.window, afterMs }],
  };
}

function retry(state: TailState): TailStep {
  const afterMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(state.failures, 10));
  return open({ ...state, failures: state.failures + 1 }, afterMs);
}

function leave(state: TailState): TailAction[] {
  return state.id === null ? [] : [{ do: "leave", id: state.id }];
}

function chunk(state: TailState, offset: number, bytes: Uint8Array): TailStep {
  const wanted = state.next ?? offset;
  const after = offset + bytes.length;
  if (after <= wanted) return credit({ ...state, failures: 0, used: state.used + 1 });
  const gap: TailAction[] = offset > wanted ? [{ do: "gap", from: wanted, to: offset }] : [];
  const fresh = offset < wanted ? bytes.subarray(wanted - offset) : bytes;
  return {
    state: { ...state, next: after, failures: 0 },
    actions: [...gap, { do: "deliver", attempt: state.attempt, bytes: fresh, offset: Math.max(offset, wanted) }],
  };
}

/** Sends credit after half a window: the other half keeps the gateway sending meanwhile. */
function credit(state: TailState): TailStep {
  return state.used < Math.max(1, Math.floor(state.window / 2)) ? { state, actions: [] } : more(state);
}

function more(state: TailState): TailStep {
  if (state.id === null) return { state, actions: [] };
  const { attempt, id, used } = state;
  return { state: { ...state, used: 0 }, actions: [{ do: "more", attempt, id, n: used }] };
}

function notice(state: TailState, name: string): TailStep {
  if (!isCloseName(name)) return end(state, { notice: "refused", code: 0, reason: name, reconnect: false });
  const code = CLOSE_CODES[name];
  if (!code.reconnect) return end(state, { notice: name, ...code });
  return retry({ ...state, id: null });
}

function fault(state: TailState, refusal: { code: number; fault: string; reason: string }): TailStep {
  const { code, reason } = refusal;
  if (code >= 500 || code === 429 || code === 408 || refusal.fault === "graph.stale") return retry(state);
  if (refusal.fault === "token.expired") return end(state, { notice: "tokenEnded", ...CLOSE_CODES.tokenEnded });
  if (refusal.fault === "read.forbidden" && state.begun) {
    return end(state, { notice: "readRevoked", ...CLOSE_CODES.readRevoked });
  }
  return end(state, { notice: "refused", code, reason, reconnect: false });
}

function end(state: TailState, why: TailEnd, first: TailAction[] = []): TailStep {
  return { state: { ...state, phase: "ended", id: null }, actions: [...first, { do: "end", end: why }] };
}
