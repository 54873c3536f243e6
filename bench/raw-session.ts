/** A session over a bare socket, cheap enough for thousands: connects, subscribes, notes when it last heard something and when it was closed. */
import { connect, type Socket } from "node:net";

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
