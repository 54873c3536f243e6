/**
 * One tail over a connection: does what `tail-state.ts` decides.
 */
import type { SessionKey, Subjects } from "../core/subjects.ts";
import { HEADER, type MoreRequest, type StopRequest, type TailOpened, type TailRequest } from "../core/wire/wire.ts";
import { ask, decode, encode, faultOf } from "./ask.ts";
import type { Link } from "./link.ts";
import { header, type MsgLike, type NatsLike, type SubscriptionLike } from "./nats-like.ts";
import { advanceTail, startTail, type TailAction, type TailEnd, type TailFrom, type TailInput } from "./tail-state.ts";
import type { Timers } from "./timers.ts";

const ANSWER_MS = 5_000;
/** The gateway gives a silent client up after a minute. */
const TICK_MS = 20_000;

export type TailOptions = {
  /** The container's uuid. */
  container: string;
  /** `stdout.txt`, `stderr.txt`, `crunch-run.txt`... */
  file: string;
  /** Byte offset, `start` (the default), or `{last: N}` messages. */
  from?: TailFrom | undefined;
  /** How many messages may be under way. */
  window?: number | undefined;
  /** In order, each byte once. Where it returns a promise, the log waits for it: that is how to be slow. */
  onBytes(bytes: Uint8Array, offset: number): void | Promise<void>;
  /** Bytes `from` to `to` are no longer held; what follows begins at `to`. */
  onGap?(from: number, to: number): void;
  /** Called once. Cuts of the connection do not end a tail: it goes on at the next byte. */
  onEnd?(end: TailEnd): void;
};

export type Tail = {
  stop(): void;
  readonly ended: Promise<TailEnd>;
  /** Offset of the next byte wanted; null before the first answer to `{last: N}`. */
  next(): number | null;
};

export type TailDeps = {
  nc: NatsLike;
  link: Link;
  subjects: Subjects;
  key: SessionKey;
  timers: Timers;
  /** Distinguishes this tail's reply subjects from other tails'. */
  number: number;
};

export function openTail(deps: TailDeps, options: TailOptions): Tail {
  const { nc, link, subjects, key, timers } = deps;
  let state = startTail(options.from ?? "start", options.window);
  let subscription: SubscriptionLike | null = null;
  let cancelTimer = () => {};
  let cancelTick = () => {};
  let unwatch = () => {};
  // Chunks go to the application one after another, also where it takes its time.
  let delivery: Promise<void> = Promise.resolve();
  const { promise: ended, resolve: resolveEnded } = deferred<TailEnd>();

  const send = (input: TailInput) => {
    const step = advanceTail(state, input);
    state = step.state;
    for (const action of step.actions) perform(action);
  };

  const perform = (action: TailAction) => {
    switch (action.do) {
      case "open":
        cancelTimer();
        subscription?.unsubscribe();
        subscription = null;
        cancelTimer = timers.after(action.afterMs, () => request(action.attempt, action.from, action.window));
        return;
      case "deliver":
        delivery = delivery.then(() => options.onBytes(action.bytes, action.offset));
        delivery = delivery.catch(report).then(() => send({ type: "delivered", attempt: action.attempt }));
        return;
      case "gap":
        delivery = delivery.then(() => options.onGap?.(action.from, action.to)).catch(report);
        return;
      case "more":
        void tell(action.attempt, { id: action.id, n: action.n });
        return;
      case "leave": {
        const body: StopRequest = { id: action.id };
        if (link.state() === "up" && !nc.isClosed()) nc.publish(subjects.api(key, "stop"), encode(body));
        return;
      }
      case "end":
        cancelTimer();
        cancelTick();
        unwatch();
        if (!nc.isClosed()) subscription?.unsubscribe();
        delivery = delivery
          .then(() => options.onEnd?.(action.end))
          .catch(report)
          .then(() => resolveEnded(action.end));
        return;
    }
  };

  /** Credit, with an answer asked for: only so a gateway that restarted is noticed. */
  const tell = async (attempt: number, body: MoreRequest) => {
    cancelTick();
    cancelTick = timers.after(TICK_MS, () => send({ type: "tick", attempt }));
    if (link.state() !== "up" || nc.isClosed()) return;
    await ask(nc, subjects.api(key, "more"), body, ANSWER_MS).catch(() => send({ type: "unknown", attempt }));
  };

  const request = (attempt: number, from: TailFrom, window: number) => {
    // The next `up` opens anew.
    if (link.state() !== "up" || nc.isClosed()) return;
    const reply = `${subjects.inboxPrefix(key)}.tail${deps.number}.${attempt}`;
    subscription = nc.subscribe(reply, { callback: (error, msg) => receive(attempt, error, msg) });
    const body: TailRequest = { container: options.container, file: options.file, from, window };
    nc.publish(subjects.api(key, "tail"), encode(body), { reply });
    cancelTimer = timers.after(ANSWER_MS, () => send({ type: "unanswered", attempt }));
  };

  const receive = (attempt: number, error: Error | null, msg: MsgLike) => {
    if (error !== null) return send({ type: "fault", attempt, code: 403, fault: "", reason: error.message });
    const input = read(attempt, msg);
    if (attempt === state.attempt) cancelTimer();
    if (input.type === "opened") {
      cancelTick();
      cancelTick = timers.after(TICK_MS, () => send({ type: "tick", attempt }));
    }
    send(input);
  };

  unwatch = link.watch((now) => {
    if (now === "up") send({ type: "up" });
    else if (now === "down") send({ type: "down" });
    else send({ type: "stop" });
  });

  return { stop: () => send({ type: "stop" }), ended, next: () => state.next };
}

/** What a message on a tail's reply subject says. */
function read(attempt: number, msg: MsgLike): TailInput {
  const name = header(msg, HEADER.notice);
  if (name !== null) return { type: "notice", attempt, name };
  const fault = faultOf(msg);
  if (fault !== null) return { type: "fault", attempt, code: fault.code, fault: fault.fault, reason: fault.message };
  const offset = header(msg, HEADER.logOffset);
  if (offset !== null || header(msg, "Nats-Sequence") !== null) {
    const at = Number(offset ?? Number.NaN);
    return { type: "chunk", attempt, offset: Number.isSafeInteger(at) ? at : null, bytes: msg.data };
  }
  try {
    return { type: "opened", attempt, id: decode<TailOpened>(msg.data).id };
  } catch {
    return { type: "fault", attempt, code: 500, fault: "", reason: "the gateway's answer cannot be read" };
  }
}

function report(error: unknown): void {
  // The application's own fault: shown where such faults are shown, without harm to the tail.
  console.error(error);
}

function deferred<T>(): { promise: Promise<T>; resolve(value: T): void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
