/** One user who does what hurts, in a process of its own; started by hostile.ts, ends when its standard input does. */
import { connect, type Socket } from "node:net";

export type Attack =
  | { kind: "publish"; subject: string; reply: string; bytes: number; perSecond: number }
  /** Opens sessions and holds them; `hold` false: leaves again at once. */
  | { kind: "login"; hold: boolean; perSecond: number; most: number }
  /** Connects, and says nothing. */
  | { kind: "dial"; perSecond: number }
  /** So many sessions, each of which comes back as soon as it ends. */
  | { kind: "crowd"; count: number };

export type AttackerOptions = { port: number; user: string; pass: string; attack: Attack };

const TICK_MS = 5;
const AGAIN_MS = 50;

const { port, user, pass, attack } = JSON.parse(process.argv[2] ?? "{}") as AttackerOptions;
process.stdin.on("end", () => process.exit(0)).resume();
let sessions = 0;

/** Resolves with the socket once it is let in; null where it is not. */
function enter(sid: string): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const options = { verbose: false, pedantic: false, protocol: 1, headers: true, lang: "bench", version: "0" };
    socket.on("connect", () => socket.write(`CONNECT ${JSON.stringify({ ...options, user: sid, pass })}\r\nPING\r\n`));
    socket.on("data", (chunk) => {
      const text = chunk.toString("latin1");
      if (text.includes("PING\r\n")) socket.write("PONG\r\n");
      if (text.includes("PONG\r\n")) resolve(socket);
    });
    socket.on("error", () => resolve(null));
    socket.on("close", () => resolve(null));
  });
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const freshSid = () => `hostile${String(++sessions).padStart(16, "0")}`;

async function publish({ subject, reply, bytes, perSecond }: Attack & { kind: "publish" }): Promise<void> {
  const message = Buffer.from(`PUB ${subject} ${reply} ${bytes}\r\n${"x".repeat(bytes)}\r\n`);
  for (;;) {
    const socket = await enter(user);
    let [sent, begun] = [0, performance.now()];
    while (socket && !socket.destroyed) {
      const due = Math.min(perSecond, Math.floor(((performance.now() - begun) * perSecond) / 1_000) - sent);
      const full = socket.writableLength > 4_000_000;
      if (due > 0 && !full) socket.write(Buffer.concat(Array.from({ length: due }, () => message)));
      sent += Math.max(0, due);
      await pause(TICK_MS);
    }
    begun = 0;
    await pause(AGAIN_MS);
  }
}

async function paced(perSecond: number, one: () => void): Promise<void> {
  const begun = performance.now();
  for (let done = 0; ; ) {
    for (const due = ((performance.now() - begun) * perSecond) / 1_000; done < due; done++) one();
    await pause(TICK_MS);
  }
}

async function crowd(count: number): Promise<void> {
  const stay = async () => {
    for (;;) {
      const socket = await enter(freshSid());
      if (socket) await new Promise((resolve) => socket.on("close", resolve));
      else await pause(AGAIN_MS);
    }
  };
  await Promise.all(Array.from({ length: count }, stay));
}

switch (attack.kind) {
  case "publish":
    void publish(attack);
    break;
  case "crowd":
    void crowd(attack.count);
    break;
  case "dial":
    void paced(attack.perSecond, () => {
      const socket = connect(port, "127.0.0.1", () => setTimeout(() => socket.destroy(), AGAIN_MS));
      socket.on("error", () => {});
    });
    break;
  case "login": {
    let open = 0;
    void paced(attack.perSecond, () => {
      if (open >= attack.most) return;
      open++;
      void enter(freshSid()).then((socket) => {
        if (!socket) open--;
        else if (attack.hold) socket.on("close", () => open--);
        else socket.destroy();
        if (socket && !attack.hold) open--;
      });
    });
  }
}
process.stdout.write("ready\n");
