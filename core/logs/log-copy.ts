/**
 * How one log file of a container is copied from the Arvados API into LOGS, as a state machine. Pure: `advanceLogCopy(state, input, at,
 * rules)` returns the next state and the one action to do; the log follower of the bridge does it.
 *
 *   looking --LOGS' last message--> asking --bytes--> storing --all stored--> asking | waiting
 *      | ^                           |  ^                |
 *      | `---------refused-----------|--|----------------'
 *      |                             v  |
 *      |                            waiting   nothing new, absent, failed, container still queued
 *      |--> left       another publisher writes this file, or its container ended before it was followed
 *      `--> complete   its container has ended and two reads, `believeAfter` apart, brought nothing: the end is written to LOGS
 *
 * The position is kept in LOGS only: after each start, and after each message that LOGS refused, the last message is read. A message
 * names the sequence that it follows on its subject, so of two followers, or a follower and the container itself, only one succeeds.
 * Each read begins with the last bytes already stored. If they differ for `believeAfter`, it is another file under the same name (a
 * container that was unlocked and locked again): it is copied from its beginning, behind the stored bytes, and `base` says from where.
 */

/** How many of the bytes already stored are read again: log lines begin with nanoseconds, so these do not repeat by chance. */
const OVERLAP = 64;
const NEWLINE = 0x0a;
const QUIETER = 1.5;
const NOTHING = new Uint8Array();

export type LogCopyRules = {
  /** Milliseconds between reads: while bytes come, and when none have come for long. */
  pollMin: number;
  pollMax: number;
  /** Milliseconds for which a surprising answer must last before it is believed. */
  believeAfter: number;
  /** At most this much is read at a time, and put into one message. */
  readBytes: number;
  chunkBytes: number;
};

/** `past`: it ended before it was followed, so nothing is copied. */
export type ContainerPhase = "queued" | "live" | "ended" | "past";

export type LogPosition = {
  /** LOGS' last sequence on the file's subject; 0 = none. */
  sequence: number;
  /** Offset of the next byte in LOGS. */
  next: number;
  /** Offset in LOGS of the first byte of the file as it is now. */
  base: number;
  /** The last bytes before `next`, none of them before `base`. */
  lastBytes: Uint8Array;
};

/** The last message in LOGS: none, another publisher's, or ours. */
export type StoredLog = null | "foreign" | (LogPosition & { complete: boolean });

export type LogMessage = { offset: number; base: number; data: Uint8Array; complete: boolean; follows: number };

export type LogCopyState = {
  readonly phase: "looking" | "asking" | "storing" | "closing" | "waiting" | "complete" | "left";
  readonly place: LogPosition;
  /** Read and not stored; of these, `sent` are under way. */
  readonly unread: Uint8Array;
  readonly sent: number;
  /** The file is known to be longer than what was read. */
  readonly behind: boolean;
  /** Milliseconds of the last wait for new bytes. */
  readonly delay: number;
  /** In a row. */
  readonly failures: number;
  /** When the file first differed from the one that was read before. */
  readonly doubted: number | null;
  /** When a file whose container has ended first had nothing new. */
  readonly quiet: number | null;
};

export type LogCopyInput =
  | { type: "looked"; stored: StoredLog }
  /** What was asked for, or less. `size`: of the file, if the API said it. */
  | { type: "read"; data: Uint8Array; size: number | null }
  /** The file ends before the first byte asked for. */
  | { type: "short" }
  | { type: "absent" }
  /** Reading LOGS or the file failed. */
  | { type: "failed" }
  | { type: "stored"; sequence: number }
  /** LOGS refused the message, or it is unknown whether it stored it. */
  | { type: "refused" }
  | { type: "waited" };

export type LogCopyAction =
  | { do: "look" }
  /** `length` bytes of the file from its byte `from` on. */
  | { do: "ask"; from: number; length: number }
  | { do: "store"; message: LogMessage }
  /** Ends early if the container's phase changes. */
  | { do: "wait"; ms: number }
  | { do: "end"; because: "complete" | "left" };

export type LogCopyStep = { state: LogCopyState; action: LogCopyAction };

/** The time in UTC milliseconds, and the phase of the container. */
export type LogCopyMoment = { now: number; container: ContainerPhase };

type Context = LogCopyMoment & { rules: LogCopyRules };

export function startFollow(): LogCopyStep {
  const place = { sequence: 0, next: 0, base: 0, lastBytes: NOTHING };
  return look({
    phase: "looking",
    place,
    unread: NOTHING,
    sent: 0,
    behind: false,
    delay: 0,
    failures: 0,
    doubted: null,
    quiet: null,
  });
}

export function advanceLogCopy(
  state: LogCopyState,
  input: LogCopyInput,
  at: LogCopyMoment,
  rules: LogCopyRules,
): LogCopyStep {
  const context = { ...at, rules };
  switch (input.type) {
    case "looked":
      return looked(state, input.stored, context);
    case "read":
      return read(state, input, context);
    case "short":
      // Some servers answer so to a first read of an empty file.
      return fileOffset(state.place) === 0 ? quiet(state, context) : doubt(state, true, context);
    case "absent":
      return quiet({ ...state, failures: 0 }, context);
    case "failed":
      return retry(state, context);
    case "stored":
      return stored(state, input.sequence, context);
    case "refused":
      return retry({ ...state, phase: "looking", unread: NOTHING }, context);
    case "waited":
      return state.phase === "looking" ? look(state) : ask(state, context);
  }
}

function look(state: LogCopyState): LogCopyStep {
  return { state: { ...state, phase: "looking", unread: NOTHING }, action: { do: "look" } };
}

function looked(state: LogCopyState, found: StoredLog, context: Context): LogCopyStep {
  if (found === "foreign" || (found === null && context.container === "past")) return end(state, "left");
  if (found?.complete) return end(state, "complete");
  return ask(found === null ? state : { ...state, place: found }, context);
}

function ask(state: LogCopyState, context: Context): LogCopyStep {
  const { container, rules } = context;
  if (container === "queued") return wait(state, rules.pollMax);
  const { place } = state;
  const from = fileOffset(place) - place.lastBytes.length;
  const action = { do: "ask", from, length: place.lastBytes.length + rules.readBytes } as const;
  return { state: { ...state, phase: "asking", unread: NOTHING }, action };
}

function read(state: LogCopyState, answer: { data: Uint8Array; size: number | null }, context: Context): LogCopyStep {
  const { place } = state;
  const { data, size } = answer;
  if (size !== null && size < fileOffset(place)) return doubt(state, true, context);
  if (!startsWith(data, place.lastBytes)) {
    // Cut off within the overlap: says nothing about the file.
    return startsWith(place.lastBytes, data) ? retry(state, context) : doubt(state, false, context);
  }
  const fresh = data.subarray(place.lastBytes.length);
  const known = { ...state, failures: 0, doubted: null };
  if (fresh.length === 0) return quiet(known, context);
  const behind = size === null ? fresh.length >= context.rules.readBytes : size > fileOffset(place) + fresh.length;
  const next = { ...known, unread: fresh, behind, quiet: null, delay: context.rules.pollMin };
  return storeNext(next, true, context);
}

/** @param isFirst nothing of this read has been stored: then a line without an end is stored as it is, because it may never end */
function storeNext(state: LogCopyState, isFirst: boolean, context: Context): LogCopyStep {
  const { chunkBytes, pollMin } = context.rules;
  const length = chunkLength(state.unread, chunkBytes, isFirst || hasEnded(context));
  if (length === 0) return state.behind ? ask(state, context) : wait(state, pollMin);
  return store({ ...state, phase: "storing", sent: length }, state.unread.subarray(0, length), false);
}

function store(state: LogCopyState, data: Uint8Array, complete: boolean): LogCopyStep {
  const { next, base, sequence } = state.place;
  return { state, action: { do: "store", message: { offset: next, base, data, complete, follows: sequence } } };
}

function stored(state: LogCopyState, sequence: number, context: Context): LogCopyStep {
  if (state.phase === "closing") return end(state, "complete");
  const { place, unread, sent } = state;
  const next = {
    ...state,
    failures: 0,
    place: passed(place, unread.subarray(0, sent), sequence),
    unread: unread.subarray(sent),
  };
  if (next.unread.length > 0) return storeNext(next, false, context);
  return next.behind ? ask(next, context) : wait(next, context.rules.pollMin);
}

/** Nothing new, for now or for ever. */
function quiet(state: LogCopyState, context: Context): LogCopyStep {
  const { now, rules } = context;
  if (!hasEnded(context)) {
    const delay = Math.min(rules.pollMax, Math.max(rules.pollMin, state.delay * QUIETER));
    return wait({ ...state, delay, quiet: null }, delay);
  }
  const since = state.quiet ?? now;
  const left = since + rules.believeAfter - now;
  if (left > 0) return wait({ ...state, quiet: since }, left);
  return store({ ...state, phase: "closing" }, NOTHING, true);
}

/** The file is not the one that was read before: it is shorter, or has other bytes in the part that was read. */
function doubt(state: LogCopyState, isShorter: boolean, context: Context): LogCopyStep {
  const { now, rules } = context;
  // What Arvados saved may end before what was read live, if the container's node was lost.
  if (isShorter && hasEnded(context)) return quiet(state, context);
  const since = state.doubted ?? now;
  const left = since + rules.believeAfter - now;
  if (left > 0) return wait({ ...state, doubted: since }, left);
  const { place } = state;
  return ask({ ...state, doubted: null, place: { ...place, base: place.next, lastBytes: NOTHING } }, context);
}

function retry(state: LogCopyState, { rules }: Context): LogCopyStep {
  const ms = Math.min(rules.pollMax, rules.pollMin * 2 ** Math.min(state.failures, 20));
  const failed = { ...state, failures: state.failures + 1 };
  return state.phase === "looking" ? { state: failed, action: { do: "wait", ms } } : wait(failed, ms);
}

function wait(state: LogCopyState, ms: number): LogCopyStep {
  return { state: { ...state, phase: "waiting", unread: NOTHING }, action: { do: "wait", ms } };
}

function end(state: LogCopyState, because: "complete" | "left"): LogCopyStep {
  return { state: { ...state, phase: because, unread: NOTHING }, action: { do: "end", because } };
}

function hasEnded({ container }: LogCopyMoment): boolean {
  return container === "ended" || container === "past";
}

function fileOffset({ next, base }: LogPosition): number {
  return next - base;
}

/** Where LOGS is after a chunk. */
export function passed(place: LogPosition, chunk: Uint8Array, sequence: number): LogPosition {
  const { next, base, lastBytes: tail } = place;
  return { sequence, next: next + chunk.length, base, lastBytes: lastBytes(tail, chunk) };
}

/** The place after a message read back from LOGS. */
export function placeAfter(message: { sequence: number; offset: number; base: number; data: Uint8Array }): LogPosition {
  const { sequence, offset, base, data } = message;
  return passed({ sequence, next: offset, base, lastBytes: NOTHING }, data, sequence);
}

/**
 * How much of `bytes` goes into one message: up to the last line end within `max`. Without one, all that fits if `whole`, otherwise
 * nothing, because the rest of the line may come.
 */
export function chunkLength(bytes: Uint8Array, max: number, whole: boolean): number {
  const fits = Math.min(bytes.length, max);
  const lines = fits === 0 ? 0 : bytes.lastIndexOf(NEWLINE, fits - 1) + 1;
  if (lines > 0) return lines;
  return whole || bytes.length > max ? fits : 0;
}

function lastBytes(before: Uint8Array, after: Uint8Array): Uint8Array {
  if (after.length >= OVERLAP) return after.slice(-OVERLAP);
  const both = new Uint8Array(before.length + after.length);
  both.set(before);
  both.set(after, before.length);
  return both.slice(-OVERLAP);
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return bytes.length >= prefix.length && prefix.every((byte, i) => bytes[i] === byte);
}
