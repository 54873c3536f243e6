/**
 * What both test pages expose as `window.session`: the client, driven from outside. The pages differ in the library
 * that makes the connection, and in nothing else.
 */
import {
  type Client,
  type ClientStatus,
  type ConnectOptions,
  connectOptions,
  createClient,
  type LiveEvent,
  type NatsLike,
  sessionId,
  type TailEnd,
} from "../../../client/mod.ts";
import type { Notice, WhoamiAnswer } from "../../../core/wire/wire.ts";

export type Connect = (options: ConnectOptions & { servers: string }) => Promise<NatsLike>;

/** `receivedAt`: milliseconds since the epoch. */
export type ReceivedEvent = LiveEvent & { receivedAt: number };
export type PageState = {
  status: ClientStatus | "new";
  sid: string;
  /** Subjects subscribed to for events. */
  patterns: string[];
  who: WhoamiAnswer | null;
  tailEnd: TailEnd | null;
  /** Messages on live subjects that were no events. */
  dropped: number;
  /** How often the connection was lost, or given up for a fresh login. */
  cuts: number;
};

export type PageSession = {
  /** Connects and listens; resolves when events cannot be missed any more, rejects when the login is refused. */
  connect(url: string, token: string, clusterId: string): Promise<void>;
  events(): ReceivedEvent[];
  /** Starts a tail from the beginning; a former one is stopped. */
  tail(container: string, file: string): void;
  tailText(): string;
  notices(): Notice[];
  state(): PageState;
  close(): Promise<void>;
};

declare global {
  interface Window {
    session: PageSession;
  }
}

export function exposeSession(connect: Connect): void {
  const sid = sessionId();
  const received: ReceivedEvent[] = [];
  const notices: Notice[] = [];
  let nc: NatsLike | null = null;
  let client: Client | null = null;
  let stopTail = () => {};
  let text = "";
  let dropped = () => 0;
  const state: PageState = { status: "new", sid, patterns: [], who: null, tailEnd: null, dropped: 0, cuts: 0 };

  window.session = {
    async connect(servers, token, clusterId) {
      nc = await connect({ servers, ...(await connectOptions(token, sid)) });
      client = await createClient({ nc, clusterId, token, sid });
      client.notices((notice) => notices.push(notice));
      client.watch((status, who) => {
        if (status === "disconnected") state.cuts += 1;
        state.status = status;
        state.who = who;
      });
      const events = client.events({
        onEvent: (event) => received.push({ ...event, receivedAt: Date.now() }),
        onPatterns: (patterns) => {
          state.patterns = patterns;
        },
      });
      dropped = events.dropped;
      await events.ready;
    },
    events: () => received,
    tail(container, file) {
      if (client === null) throw new Error("connect first");
      stopTail();
      text = "";
      state.tailEnd = null;
      const decoder = new TextDecoder();
      const tail = client.tail({
        container,
        file,
        onBytes: (bytes) => {
          text += decoder.decode(bytes, { stream: true });
        },
        onEnd: (end) => {
          state.tailEnd = end;
        },
      });
      stopTail = tail.stop;
    },
    tailText: () => text,
    notices: () => notices,
    state: () => ({ ...state, dropped: dropped() }),
    async close() {
      client?.close();
      await nc?.close();
    },
  };
}
