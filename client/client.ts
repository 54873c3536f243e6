/**
 * The client: a session's view of Arvados over any NATS connection. It asks for its grants, subscribes to them, follows
 * them as they change, and reads logs. What it decides is in `session-state.ts` and `tail-state.ts`.
 *
 *   const nc = await connect({ servers, ...(await connectOptions(token, sid)) });
 *   const client = await createClient({ nc, clusterId, token, sid });
 *   client.events({ resource: "collections", onEvent: ({ event }) => console.log(event.event_type, event.object_uuid) });
 */
import { subjectsOf } from "../core/subjects.ts";
import type { Notice, WhoamiAnswer } from "../core/wire/wire.ts";
import { ask, decode, GatewayError } from "./ask.ts";
import { reconnectDelayOf } from "./backoff.ts";
import { type Events, type EventsOptions, listenToEvents } from "./events.ts";
import { sessionKey } from "./identity.ts";
import { type LinkState, watchLink } from "./link.ts";
import type { NatsLike } from "./nats-like.ts";
import { Renewal } from "./renewal.ts";
import { FOLLOW_START, follow, type SessionAction, type SessionInput } from "./session-state.ts";
import { openTail, type Tail, type TailOptions } from "./tail.ts";
import { realTimers, type Timers } from "./timers.ts";

const WHOAMI_MS = 3_000;
const ASK_AGAIN_MS = [50, 100, 200, 400, 800, 1_600, 3_000];

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

/** `following`: subscribed to all that is granted now. `ended`: told not to come back, or the connection is closed. */
export type ClientStatus = "connecting" | "following" | "disconnected" | "ended";

export type Client = {
  /** Identity and rights as of now. */
  whoami(): Promise<WhoamiAnswer>;
  events(options: EventsOptions): Events;
  tail(options: TailOptions): Tail;
  /** What the service tells this session; the returned function takes the callback back. */
  notices(callback: (notice: Notice) => void): () => void;
  /** Calls back at once, then at each change; `who` is the last answer in force. */
  watch(callback: (status: ClientStatus, who: WhoamiAnswer | null) => void): () => void;
  /** Ends tails and subscriptions; the connection stays open. */
  close(): void;
};

export async function createClient(options: ClientOptions): Promise<Client> {
  const { nc, clusterId, token, sid } = options;
  const timers = options.timers ?? realTimers;
  const key = await sessionKey(token, sid);
  const subjects = subjectsOf(clusterId);
  const link = watchLink(nc);
  const listeners = new Set<ReturnType<typeof listenToEvents>>();
  const tails = new Set<Tail>();
  const noticeCallbacks = new Set<(notice: Notice) => void>();
  const watchers = new Set<(status: ClientStatus, who: WhoamiAnswer | null) => void>();
  let state = FOLLOW_START;
  let status: ClientStatus = "connecting";
  let tries = 0;
  let questions = 0;
  let tailNumber = 0;
  let cancelAsk = () => {};
  let closed = false;

  const whoami = () => ask<WhoamiAnswer>(nc, subjects.api(key, "whoami"), {}, WHOAMI_MS);

  const become = (next: ClientStatus) => {
    status = next;
    for (const watcher of [...watchers]) watcher(status, state.who);
  };

  const send = (input: SessionInput) => {
    if (closed) return;
    const step = follow(state, input);
    state = step.state;
    for (const action of step.actions) perform(action);
  };

  const delay = reconnectDelayOf(nc);
  const renewal = new Renewal(timers, options.random ?? Math.random, () => {
    cancelAsk();
    delay?.renewing();
    // Its failure means closed, which the link reports.
    nc.reconnect().catch(() => {});
  });

  const perform = (action: SessionAction) => {
    if (action.do === "renew") return void renewal.want();
    cancelAsk();
    switch (action.do) {
      case "ask":
        tries = 0;
        void question();
        return;
      case "askLater":
        cancelAsk = timers.after(ASK_AGAIN_MS[tries] ?? ASK_AGAIN_MS.at(-1)!, () => void question());
        tries += 1;
        return;
      case "subscribe":
        void subscribeAll(action.grants);
        return;
      case "end":
        become("ended");
        close();
        // Left open, the library would come back for ever with a token that is refused.
        void nc.close();
        return;
    }
  };

  const question = async () => {
    questions += 1;
    const number = questions;
    const answer = await whoami().catch((error: unknown) => {
      if (error instanceof GatewayError) return null;
      throw error;
    });
    // An answer to a question of the connection before, or its timeout, says nothing about this one.
    if (number === questions) send(answer === null ? { type: "unanswered" } : { type: "answer", who: answer });
  };

  const subscribeAll = async (grants: readonly string[]) => {
    try {
      await Promise.all([...listeners].map((listener) => listener.apply(grants)));
      if (!closed && (state.phase === "settled" || state.phase === "renewing")) become("following");
    } catch {
      // Flushing failed: the connection went, and the next `up` asks and subscribes anew.
    }
  };

  const noticeSubscription = nc.subscribe(subjects.notice(key), {
    callback(error, msg) {
      if (error !== null) return;
      const notice = readNotice(msg.data);
      if (notice === null) return;
      for (const callback of [...noticeCallbacks]) callback(notice);
      send({ type: "notice", notice });
    },
  });

  const onLink = (now: LinkState) => {
    if (now === "up") {
      delay?.connected();
      send({ type: "up" });
    }
    if (now === "down") {
      renewal.forget();
      send({ type: "down" });
      become("disconnected");
    }
    if (now === "closed") become("ended");
  };
  link.watch(onLink);

  const close = () => {
    if (closed) return;
    closed = true;
    cancelAsk();
    renewal.stop();
    for (const tail of tails) tail.stop();
    for (const listener of listeners) listener.stop();
    if (!nc.isClosed()) noticeSubscription.unsubscribe();
    link.stop();
  };

  return {
    whoami,
    events(eventsOptions) {
      const listener = listenToEvents(
        { nc, livePrefix: subjects.live(""), onRefused: () => send({ type: "refused" }) },
        eventsOptions,
      );
      listeners.add(listener);
      if (state.who !== null) void subscribeAll(state.who.grants.subscribe);
      return {
        ...listener,
        stop() {
          listeners.delete(listener);
          listener.stop();
        },
      };
    },
    tail(tailOptions) {
      tailNumber += 1;
      const tail = openTail({ nc, link, subjects, key, timers, number: tailNumber }, tailOptions);
      tails.add(tail);
      void tail.ended.then(() => tails.delete(tail));
      return tail;
    },
    notices(callback) {
      noticeCallbacks.add(callback);
      return () => noticeCallbacks.delete(callback);
    },
    watch(callback) {
      watchers.add(callback);
      callback(status, state.who);
      return () => watchers.delete(callback);
    },
    close,
  };
}

function readNotice(data: Uint8Array): Notice | null {
  try {
    const notice = decode<Notice>(data);
    return typeof notice.notice === "string" && typeof notice.code === "number" ? notice : null;
  } catch {
    return null;
  }
}
