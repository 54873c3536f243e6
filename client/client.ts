/**
 * The client: a session's view of Arvados over any NATS connection. It subscribes to what it is granted (session-grants.ts), delivers
 * events and notices, and reads logs. What it decides is in `grants-state.ts` and `tail-state.ts`.
 *
 *   const nc = await connect({ servers, ...(await connectOptions(token, sid)) });
 *   const client = await createClient({ nc, clusterId, token, sid });
 *   client.events({ resource: "collections", onEvent: ({ event }) => console.log(event.event_type, event.object_uuid) });
 */
import { type SessionKey, type Subjects, subjectsOf } from "../core/subjects.ts";
import type { Notice, WhoamiAnswer } from "../core/wire/wire.ts";
import { ask, decode } from "./ask.ts";
import { type ReconnectDelay, reconnectDelayOf } from "./backoff.ts";
import { type Events, type EventsOptions, listenToEvents } from "./events.ts";
import { sessionKey } from "./identity.ts";
import { type Link, type LinkState, watchLink } from "./link.ts";
import type { NatsLike, SubscriptionLike } from "./nats-like.ts";
import { SessionGrants } from "./session-grants.ts";
import { openTail, type Tail, type TailOptions } from "./tail.ts";
import { realTimers, type Timers } from "./timers.ts";

const WHOAMI_MS = 3_000;

export type ClientOptions = {
  /** Connected with `connectOptions(token, sid)`; stays the caller's to close. */
  nc: NatsLike;
  clusterId: string;
  token: string;
  sid: string;
  timers?: Timers;
  /** 0 <= random < 1. */
  random?: () => number;
};

/** `following`: subscribed to all current grants. `ended`: notified not to reconnect, or the connection is closed. */
export type ClientStatus = "connecting" | "following" | "disconnected" | "ended";

export type Client = {
  /** Current identity and grants. */
  whoami(): Promise<WhoamiAnswer>;
  events(options: EventsOptions): Events;
  tail(options: TailOptions): Tail;
  /** Notices to this session; the returned function removes the callback. */
  notices(callback: (notice: Notice) => void): () => void;
  /** Calls back at once, then at each change; `who` is the last answer of the gateway on this connection. */
  watch(callback: (status: ClientStatus, who: WhoamiAnswer | null) => void): () => void;
  /** Ends tails and subscriptions; the connection stays open. */
  close(): void;
};

export async function createClient(options: ClientOptions): Promise<Client> {
  const { nc, clusterId, token, sid, timers = realTimers, random = Math.random } = options;
  const key = await sessionKey(token, sid);
  const session = new ClientSession({ nc, subjects: subjectsOf(clusterId), key, timers, random });
  session.start();
  return {
    whoami: () => session.whoami(),
    events: (eventsOptions) => session.events(eventsOptions),
    tail: (tailOptions) => session.tail(tailOptions),
    notices: (callback) => session.notices(callback),
    watch: (callback) => session.watch(callback),
    close: () => session.close(),
  };
}

type ClientSessionParts = { nc: NatsLike; subjects: Subjects; key: SessionKey; timers: Timers; random: () => number };

class ClientSession {
  readonly #parts: ClientSessionParts;
  readonly #link: Link;
  readonly #delay: ReconnectDelay | null;
  readonly #grants: SessionGrants;
  readonly #listeners = new Set<ReturnType<typeof listenToEvents>>();
  readonly #tails = new Set<Tail>();
  readonly #noticeCallbacks = new Set<(notice: Notice) => void>();
  readonly #watchers = new Set<(status: ClientStatus, who: WhoamiAnswer | null) => void>();
  #noticeSubscription: SubscriptionLike | null = null;
  #status: ClientStatus = "connecting";
  #tailNumber = 0;
  #closed = false;

  constructor(parts: ClientSessionParts) {
    this.#parts = parts;
    const { nc, timers, random } = parts;
    this.#link = watchLink(nc);
    this.#delay = reconnectDelayOf(nc);
    this.#grants = new SessionGrants({
      timers,
      random,
      whoami: () => this.whoami(),
      subscribe: async (grants) => {
        await Promise.all([...this.#listeners].map((listener) => listener.apply(grants)));
      },
      renew: () => this.#renew(),
      onFollowing: () => this.#become("following"),
      onEnd: () => this.#end(),
    });
  }

  start(): void {
    const { nc, subjects, key } = this.#parts;
    this.#noticeSubscription = nc.subscribe(subjects.notice(key), {
      callback: (error, msg) => {
        const notice = error === null ? readNotice(msg.data) : null;
        if (notice !== null) this.#onNotice(notice);
      },
    });
    this.#link.watch((state) => this.#onLink(state));
  }

  whoami(): Promise<WhoamiAnswer> {
    const { nc, subjects, key } = this.#parts;
    return ask<WhoamiAnswer>(nc, subjects.api(key, "whoami"), {}, WHOAMI_MS);
  }

  events(options: EventsOptions): Events {
    const { nc, subjects } = this.#parts;
    const onRefused = () => this.#grants.send({ type: "refused" });
    const listener = listenToEvents({ nc, livePrefix: subjects.live(""), onRefused }, options);
    this.#listeners.add(listener);
    this.#grants.subscribeAgain();
    return {
      ...listener,
      stop: () => {
        this.#listeners.delete(listener);
        listener.stop();
      },
    };
  }

  tail(options: TailOptions): Tail {
    const { nc, subjects, key, timers } = this.#parts;
    this.#tailNumber += 1;
    const tail = openTail({ nc, link: this.#link, subjects, key, timers, number: this.#tailNumber }, options);
    this.#tails.add(tail);
    void tail.ended.then(() => this.#tails.delete(tail));
    return tail;
  }

  notices(callback: (notice: Notice) => void): () => void {
    this.#noticeCallbacks.add(callback);
    return () => this.#noticeCallbacks.delete(callback);
  }

  watch(callback: (status: ClientStatus, who: WhoamiAnswer | null) => void): () => void {
    this.#watchers.add(callback);
    callback(this.#status, this.#grants.who);
    return () => this.#watchers.delete(callback);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#grants.stop();
    for (const tail of this.#tails) tail.stop();
    for (const listener of this.#listeners) listener.stop();
    if (!this.#parts.nc.isClosed()) this.#noticeSubscription?.unsubscribe();
    this.#link.stop();
  }

  #onLink(state: LinkState): void {
    if (state === "up") {
      this.#delay?.connected();
      this.#grants.send({ type: "up" });
    }
    if (state === "down") {
      this.#grants.send({ type: "down" });
      this.#become("disconnected");
    }
    if (state === "closed") {
      // Without this an unanswered session would ask for ever.
      this.#grants.stop();
      this.#become("ended");
    }
  }

  #onNotice(notice: Notice): void {
    for (const callback of [...this.#noticeCallbacks]) callback(notice);
    this.#grants.send({ type: "notice", notice });
  }

  #become(status: ClientStatus): void {
    this.#status = status;
    for (const watcher of [...this.#watchers]) watcher(status, this.#grants.who);
  }

  #renew(): void {
    this.#delay?.renewing();
    // It fails only if the connection is closed, which the link reports.
    this.#parts.nc.reconnect().catch(() => {});
  }

  #end(): void {
    this.#become("ended");
    this.close();
    // If it stayed open, the library would reconnect for ever with a token that is refused.
    void this.#parts.nc.close();
  }
}

function readNotice(data: Uint8Array): Notice | null {
  try {
    const notice = decode<Notice>(data);
    return typeof notice.notice === "string" && typeof notice.code === "number" ? notice : null;
  } catch {
    return null;
  }
}
