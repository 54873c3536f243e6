/**
 * One tail over a connection: does what `tail-state.ts` decides.
 */
import type { SessionKey, Subjects } from "../core/subjects.ts";
import { HEADER, type MoreRequest, type StopRequest, type TailOpened, type TailRequest } from "../core/wire/wire.ts";
import { ask, decode, encode, faultOf } from "./ask.ts";
import type { Link } from "./link.ts";
import { header, type MsgLike, type NatsLike, type SubscriptionLike } from "./nats-like.ts";
import {
  advanceTail,
  startTail,
  type TailAction,
  type TailEnd,
  type TailFrom,
  type TailInput,
  type TailState,
} from "./tail-state.ts";
import type { Timers } from "./timers.ts";

const ANSWER_MS = 5_000;
/** The gateway ends the tail of a client that sends nothing for a minute. */
const TICK_MS = 20_000;

export type TailOptions = {
  /** The container's uuid. */
  container: string;
  /** `stdout.txt`, `stderr.txt`, `crunch-run.txt`... */
  file: string;
  /** Byte offset, `start` (the default), or `{last: N}` messages. */
  from?: TailFrom | undefined;
  /** How many messages the gateway may send before the client asks for more. */
  window?: number | undefined;
  /** In order, each byte once. The log waits for a promise that it returns, so a slow reader slows the log down. */
  onBytes(bytes: Uint8Array, offset: number): void | Promise<void>;
  /** Bytes `from` to `to` are no longer stored; the next chunk begins at `to`. */
  onGap?(from: number, to: number): void;
  /** Called once. A lost connection does not end a tail: it resumes at the next byte. */
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
  const tail = new RunningTail(deps, options);
  tail.start();
  return { stop: () => tail.stop(), ended: tail.ended, next: () => tail.next };
}

class RunningTail {
  readonly #deps: TailDeps;
  readonly #options: TailOptions;
  readonly ended: Promise<TailEnd>;
  readonly #resolveEnded: (end: TailEnd) => void;
  #state: TailState;
  #subscription: SubscriptionLike | null = null;
  #cancelTimer = () => {};
  #cancelTick = () => {};
  #unwatch = () => {};
  /** Chunks go to the application one after another, also if it is slow. */
  #delivery: Promise<void> = Promise.resolve();

  constructor(deps: TailDeps, options: TailOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#state = startTail(options.from ?? "start", options.window);
    const { promise, resolve } = deferred<TailEnd>();
    this.ended = promise;
    this.#resolveEnded = resolve;
  }

  get next(): number | null {
    return this.#state.next;
  }

  start(): void {
    this.#unwatch = this.#deps.link.watch((state) => {
      if (state === "up") this.#send({ type: "up" });
      else if (state === "down") this.#send({ type: "down" });
      else this.stop();
    });
  }

  stop(): void {
    this.#send({ type: "stop" });
  }

  get #isConnected(): boolean {
    const { link, nc } = this.#deps;
    return link.state() === "up" && !nc.isClosed();
  }

  #send(input: TailInput): void {
    const step = advanceTail(this.#state, input);
    this.#state = step.state;
    for (const action of step.actions) this.#perform(action);
  }

  #perform(action: TailAction): void {
    switch (action.do) {
      case "open":
        return this.#openAfter(action);
      case "deliver":
        this.#deliver(() => this.#options.onBytes(action.bytes, action.offset));
        this.#delivery = this.#delivery.then(() => this.#send({ type: "delivered", attempt: action.attempt }));
        return;
      case "gap":
        return this.#deliver(() => this.#options.onGap?.(action.from, action.to));
      case "more":
        void this.#more(action.attempt, { id: action.id, n: action.n });
        return;
      case "leave":
        return this.#leave(action.id);
      case "end":
        return this.#end(action.end);
    }
  }

  #openAfter({ attempt, from, window, afterMs }: Extract<TailAction, { do: "open" }>): void {
    this.#cancelTimer();
    this.#subscription?.unsubscribe();
    this.#subscription = null;
    this.#cancelTimer = this.#deps.timers.after(afterMs, () => this.#request(attempt, from, window));
  }

  #request(attempt: number, from: TailFrom, window: number): void {
    // The next `up` opens again.
    if (!this.#isConnected) return;
    const { nc, subjects, key, timers, number } = this.#deps;
    const reply = `${subjects.inboxPrefix(key)}.tail${number}.${attempt}`;
    this.#subscription = nc.subscribe(reply, { callback: (error, msg) => this.#receive(attempt, error, msg) });
    const body: TailRequest = { container: this.#options.container, file: this.#options.file, from, window };
    nc.publish(subjects.api(key, "tail"), encode(body), { reply });
    this.#cancelTimer = timers.after(ANSWER_MS, () => this.#send({ type: "unanswered", attempt }));
  }

  #receive(attempt: number, error: Error | null, msg: MsgLike): void {
    if (error !== null) return this.#send({ type: "fault", attempt, code: 403, fault: "", reason: error.message });
    const input = read(attempt, msg);
    if (attempt === this.#state.attempt) this.#cancelTimer();
    if (input.type === "opened") this.#tickLater(attempt);
    this.#send(input);
  }

  /** Sends credit as a request: only a missing answer shows that the gateway has restarted. */
  async #more(attempt: number, body: MoreRequest): Promise<void> {
    this.#tickLater(attempt);
    if (!this.#isConnected) return;
    const { nc, subjects, key } = this.#deps;
    await ask(nc, subjects.api(key, "more"), body, ANSWER_MS).catch(() => this.#send({ type: "unknown", attempt }));
  }

  #tickLater(attempt: number): void {
    this.#cancelTick();
    this.#cancelTick = this.#deps.timers.after(TICK_MS, () => this.#send({ type: "tick", attempt }));
  }

  #leave(id: string): void {
    const { nc, subjects, key } = this.#deps;
    const body: StopRequest = { id };
    if (this.#isConnected) nc.publish(subjects.api(key, "stop"), encode(body));
  }

  #end(end: TailEnd): void {
    this.#cancelTimer();
    this.#cancelTick();
    this.#unwatch();
    if (!this.#deps.nc.isClosed()) this.#subscription?.unsubscribe();
    this.#deliver(() => this.#options.onEnd?.(end));
    this.#delivery = this.#delivery.then(() => this.#resolveEnded(end));
  }

  /** Calls the application after all calls before it; its errors are reported and do not end the tail. */
  #deliver(call: () => void | Promise<void>): void {
    this.#delivery = this.#delivery.then(call).catch(report);
  }
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
  // An error of the application, not of the tail.
  console.error(error);
}

function deferred<T>(): { promise: Promise<T>; resolve(value: T): void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
