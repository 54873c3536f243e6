/**
 * A NATS connection made of nothing, for the client's tests: subscriptions with permissions, cuts and reconnects on
 * command, and a gateway that is a function. Behaves as the libraries do where the client depends on it: what is
 * published while down is lost, subscriptions are re-sent at a reconnect, a forbidden one calls back with an error.
 */
import type { HeadersLike, MsgLike, NatsLike, StatusLike } from "../../client/nats-like.ts";

type Headers = Record<string, string>;
type Subscription = { subject: string; callback(error: Error | null, msg: MsgLike): void };
export type Published = { subject: string; body: unknown; reply: string | undefined };

export type FakeNats = NatsLike & {
  /** Subjects that may be subscribed to besides inbox and notices; replaced at each login by `nextLogin`. */
  login: string[];
  nextLogin: string[] | null;
  published: Published[];
  /** How often a login was made after the first. */
  logins: number;
  answer(subject: string): MsgLike | Promise<MsgLike>;
  deliver(subject: string, data: string | Uint8Array, headers?: Headers): number;
  down(): void;
  up(): void;
  subjects(): string[];
};

export function message(subject: string, data: string | Uint8Array, headers: Headers = {}, code = 0): MsgLike {
  const like: HeadersLike = { code, get: (name) => headers[name] ?? "", has: (name) => name in headers };
  return { subject, data: typeof data === "string" ? new TextEncoder().encode(data) : data, headers: like };
}

export function fakeNats(login: string[]): FakeNats {
  const subscriptions = new Set<Subscription>();
  const listeners: ((status: StatusLike) => void)[] = [];
  let connected = true;
  let closed = false;
  let resolveClosed = (_: undefined) => {};
  const whenClosed = new Promise<undefined>((resolve) => {
    resolveClosed = resolve;
  });
  const tell = (type: string) => {
    for (const listener of listeners) listener({ type });
  };
  const allowed = (subject: string) =>
    subject.startsWith("_INBOX.") || subject.includes(".notice.") || nats.login.includes(subject);
  const admit = (subscription: Subscription) => {
    if (allowed(subscription.subject)) return;
    subscriptions.delete(subscription);
    const text = `Permissions Violation for Subscription to "${subscription.subject}"`;
    subscription.callback(new Error(text), message("", ""));
  };

  const nats: FakeNats = {
    login,
    nextLogin: null,
    published: [],
    logins: 0,
    answer: () => {
      throw new Error("no responders");
    },
    publish(subject, payload = new Uint8Array(), options) {
      if (!connected) return;
      const text = new TextDecoder().decode(payload);
      nats.published.push({ subject, body: text === "" ? null : JSON.parse(text), reply: options?.reply });
    },
    async request(subject, payload) {
      if (!connected) throw new Error("TIMEOUT");
      nats.publish(subject, payload);
      return nats.answer(subject);
    },
    subscribe(subject, { callback }) {
      const subscription = { subject, callback };
      subscriptions.add(subscription);
      if (connected) queueMicrotask(() => admit(subscription));
      return { unsubscribe: () => subscriptions.delete(subscription) };
    },
    status() {
      const queue: StatusLike[] = [];
      let wake = () => {};
      listeners.push((status) => {
        queue.push(status);
        wake();
      });
      return (async function* () {
        while (!closed) {
          const status = queue.shift();
          if (status !== undefined) yield status;
          else
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
        }
      })();
    },
    async reconnect() {
      nats.down();
      nats.up();
    },
    async flush() {
      await Promise.resolve();
      if (!connected) throw new Error("disconnected");
    },
    async close() {
      closed = true;
      connected = false;
      resolveClosed(undefined);
    },
    closed: () => whenClosed,
    isClosed: () => closed,
    deliver(subject, data, headers) {
      if (!connected) return 0;
      let count = 0;
      for (const subscription of [...subscriptions]) {
        if (!matches(subscription.subject, subject)) continue;
        count += 1;
        subscription.callback(null, message(subject, data, headers));
      }
      return count;
    },
    down() {
      connected = false;
      tell("disconnect");
    },
    up() {
      connected = true;
      nats.logins += 1;
      if (nats.nextLogin !== null) nats.login = nats.nextLogin;
      for (const subscription of [...subscriptions]) admit(subscription);
      tell("reconnect");
    },
    subjects: () => [...subscriptions].map((subscription) => subscription.subject),
  };
  return nats;
}

function matches(pattern: string, subject: string): boolean {
  const want = pattern.split(".");
  const have = subject.split(".");
  if (want.at(-1) === ">") return have.length >= want.length && want.slice(0, -1).every((t, i) => t === have[i]);
  return want.length === have.length && want.every((token, i) => token === "*" || token === have[i]);
}
