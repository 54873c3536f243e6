/** What one user can do that might hurt others, each kind until it is stopped; runs in the process of attacker.ts. */
import { setMaxListeners } from "node:events";
import { connect, type Socket } from "node:net";
import pg from "pg";
import { createSimulator } from "../../dev/simulator/index.ts";

export type Attack =
  | { kind: "publish"; user: string; pass: string; subject: string; reply: string; bytes: number; perSecond: number }
  /** Opens sessions and holds them; `hold` false: each leaves as soon as it is in. */
  | { kind: "login"; pass: string; hold: boolean; perSecond: number; most: number }
  /** So many sessions, each of which comes back as soon as it ends. */
  | { kind: "crowd"; pass: string; count: number }
  /** Shares `head` with `tail` and takes it back. */
  | { kind: "share"; tail: string; head: string; by: string; perSecond: number }
  /** SQL statements one after another, again and again; each is a transaction. `undo` runs once at the end. */
  | { kind: "rows"; statements: readonly string[]; undo?: string; perSecond: number };

export type Target = { port: number; database: string; clusterId: string };

const TICK_MS = 5;
const AGAIN_MS = 50;
const FULL_BYTES = 4_000_000;

/** Resolves once it has stopped and everything it opened is closed. */
export function runAttack(attack: Attack, target: Target, signal: AbortSignal): Promise<void> {
  // Each socket listens to it.
  setMaxListeners(0, signal);
  switch (attack.kind) {
    case "publish":
      return publish(attack, target, signal);
    case "login":
      return login(attack, target, signal);
    case "crowd":
      return crowd(attack, target, signal);
    case "share":
      return share(attack, target, signal);
    case "rows":
      return rows(attack, target, signal);
  }
}

let sessions = 0;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const newSid = () => `hostile${String(++sessions).padStart(16, "0")}`;

/** Resolves with the socket once its login is admitted; null where it is refused. */
function enter(port: number, user: string, pass: string, signal: AbortSignal): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const options = { verbose: false, pedantic: false, protocol: 1, headers: true, lang: "bench", version: "0" };
    const leave = () => socket.destroy();
    signal.addEventListener("abort", leave);
    socket.on("connect", () => socket.write(`CONNECT ${JSON.stringify({ ...options, user, pass })}\r\nPING\r\n`));
    socket.on("data", (chunk) => {
      const text = chunk.toString("latin1");
      if (text.includes("PING\r\n")) socket.write("PONG\r\n");
      if (text.includes("PONG\r\n")) resolve(socket);
    });
    socket.on("error", () => resolve(null));
    socket.on("close", () => {
      signal.removeEventListener("abort", leave);
      resolve(null);
    });
  });
}

async function publish(
  { user, pass, subject, reply, bytes, perSecond }: Attack & { kind: "publish" },
  { port }: Target,
  signal: AbortSignal,
): Promise<void> {
  const message = Buffer.from(`PUB ${subject} ${reply} ${bytes}\r\n${"x".repeat(bytes)}\r\n`);
  while (!signal.aborted) {
    const socket = await enter(port, user, pass, signal);
    const begun = performance.now();
    let sent = 0;
    while (socket && !socket.destroyed && !signal.aborted) {
      const due = Math.min(perSecond, Math.floor(((performance.now() - begun) * perSecond) / 1_000) - sent);
      const full = socket.writableLength > FULL_BYTES;
      if (due > 0 && !full) socket.write(Buffer.concat(Array.from({ length: due }, () => message)));
      sent += Math.max(0, due);
      await pause(TICK_MS);
    }
    await pause(AGAIN_MS);
  }
}

async function login(
  { pass, hold, perSecond, most }: Attack & { kind: "login" },
  { port }: Target,
  signal: AbortSignal,
): Promise<void> {
  const begun = performance.now();
  let open = 0;
  const one = async () => {
    open++;
    const socket = await enter(port, newSid(), pass, signal);
    if (socket && hold) await new Promise((resolve) => socket.on("close", resolve));
    socket?.destroy();
    open--;
  };
  for (let done = 0; !signal.aborted; await pause(TICK_MS)) {
    for (const due = ((performance.now() - begun) * perSecond) / 1_000; done < due; done++) if (open < most) void one();
  }
}

async function crowd(
  { pass, count }: Attack & { kind: "crowd" },
  { port }: Target,
  signal: AbortSignal,
): Promise<void> {
  const stay = async () => {
    while (!signal.aborted) {
      const socket = await enter(port, newSid(), pass, signal);
      if (socket) await new Promise((resolve) => socket.on("close", resolve));
      else await pause(AGAIN_MS);
    }
  };
  await Promise.all(Array.from({ length: count }, stay));
}

async function share(
  { tail, head, by, perSecond }: Attack & { kind: "share" },
  { database, clusterId }: Target,
  signal: AbortSignal,
): Promise<void> {
  await using arvados = createSimulator({ connection: { connectionString: database }, clusterId });
  await paced(perSecond, signal, async () => {
    await arvados.share(tail, head, "can_read", { by });
    await arvados.unshare({ tail, head }, { by });
  });
}

async function rows(
  { statements, undo, perSecond }: Attack & { kind: "rows" },
  { database }: Target,
  signal: AbortSignal,
): Promise<void> {
  const client = new pg.Client({ connectionString: database });
  await client.connect();
  await paced(perSecond, signal, (turn) => client.query(statements[turn % statements.length] as string));
  if (undo !== undefined) await client.query(undo);
  await client.end();
}

/** One turn after another; those that are late are not made up for. */
async function paced(perSecond: number, signal: AbortSignal, turn: (n: number) => Promise<unknown>): Promise<void> {
  for (let n = 0; !signal.aborted; n++) {
    const from = performance.now();
    await turn(n);
    const wait = from + 1_000 / perSecond - performance.now();
    if (wait > 0 && !signal.aborted) await pause(wait);
  }
}
