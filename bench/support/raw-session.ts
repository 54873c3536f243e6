/** A session over a bare socket, cheap enough for thousands: connects, subscribes, notes when it last heard something and when it was closed. */
import { connect, type Socket } from "node:net";

const PARALLEL = 32;

export type RawSession = {
  /** `performance.now()` of the last message; 0 before the first. */
  readonly heardAt: number;
  readonly closed: Promise<number>;
  /** False: the server refused the subscription. */
  readonly subscribed: boolean;
  close(): void;
};

/** Resolves with the session once the server has answered; null where it was not let in. */
export function openSession(port: number, user: string, pass: string, subject?: string): Promise<RawSession | null> {
  return new Promise((resolve) => {
    const socket: Socket = connect(port, "127.0.0.1");
    socket.setNoDelay(true);
    const state = { heardAt: 0, subscribed: subject !== undefined };
    const closed = new Promise<number>((gone) => socket.on("close", () => gone(performance.now())));
    let opened = false;
    const options = {
      verbose: false,
      pedantic: false,
      lang: "bench",
      version: "0",
      protocol: 1,
      headers: true,
      user,
      pass,
    };
    socket.on("connect", () => {
      socket.write(`CONNECT ${JSON.stringify(options)}\r\n${subject ? `SUB ${subject} 1\r\n` : ""}PING\r\n`);
    });
    socket.on("data", (chunk) => {
      const text = chunk.toString("latin1");
      if (text.includes("MSG ")) state.heardAt = performance.now();
      if (text.includes("-ERR 'Permissions Violation")) state.subscribed = false;
      if (text.includes("PING\r\n")) socket.write("PONG\r\n");
      if (opened || !text.includes("PONG")) return;
      opened = true;
      resolve({
        get heardAt() {
          return state.heardAt;
        },
        get subscribed() {
          return state.subscribed;
        },
        closed,
        close: () => socket.destroy(),
      });
    });
    socket.on("error", () => resolve(null));
    void closed.then(() => resolve(null));
  });
}

let opened = 0;

/** The same with a session id of its own. */
export function openOne(port: number, token: string, subject?: string): Promise<RawSession | null> {
  return openSession(port, `bench${String(++opened).padStart(16, "0")}`, token, subject);
}

/** So many sessions, some at a time; one that is not let in tries again. */
export async function openMany(port: number, tokens: readonly string[], count: number): Promise<RawSession[]> {
  const sessions: RawSession[] = [];
  let next = 0;
  const one = async () => {
    while (next < count) {
      const token = tokens[next++ % tokens.length] as string;
      sessions.push(await retried(() => openOne(port, token)));
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, one));
  return sessions;
}

/** Tries until there is something. */
export async function retried<T>(look: () => Promise<T | null>): Promise<NonNullable<T>> {
  for (;;) {
    const found = await look();
    if (found !== null) return found as NonNullable<T>;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
