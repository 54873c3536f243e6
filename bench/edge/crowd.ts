/** Browsers, cheap enough for a thousand in one process: WebSockets by hand that subscribe to one subject and count what comes. */
import { connect, type Socket } from "node:net";
import { formatFrame, OPCODE } from "../../proxy/edge/frames.ts";

const UPGRADE =
  "GET /nats HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const CONNECT =
  'CONNECT {"verbose":false,"pedantic":false,"lang":"bench","version":"0","protocol":1,"auth_token":"t"}\r\n';
const PARALLEL = 32;
export const SUBJECT = "x";

export type Crowd = {
  /** Bytes of NATS' protocol in all, and for each socket. Called after each chunk. */
  onBytes: (socket: number, bytes: number) => void;
  /** Sends to nats-server through one of them, and resolves with the milliseconds until it has answered. */
  roundTrip(): Promise<number>;
  close(): void;
};

/** @param port of the edge, of a pipe, or nats-server's own */
export async function openCrowd(port: number, count: number): Promise<Crowd> {
  const sockets: Socket[] = [];
  const crowd: { onBytes: Crowd["onBytes"]; onPong: () => void } = { onBytes: () => {}, onPong: () => {} };
  for (let at = 0; at < count; at += PARALLEL) {
    const some = Array.from({ length: Math.min(PARALLEL, count - at) }, (_, i) => open(port, at + i, crowd));
    sockets.push(...(await Promise.all(some)));
  }
  return {
    set onBytes(hear: Crowd["onBytes"]) {
      crowd.onBytes = hear;
    },
    async roundTrip() {
      const answered = new Promise<void>((resolve) => {
        crowd.onPong = resolve;
      });
      const from = performance.now();
      sockets[0]?.write(formatFrame(OPCODE.binary, Buffer.from("PING\r\n"), true));
      await answered;
      return performance.now() - from;
    },
    close() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

function open(port: number, index: number, crowd: { onBytes: Crowd["onBytes"]; onPong: () => void }): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    socket.setNoDelay(true);
    const frames = payloadCounter();
    let greeting = "";
    let isOpen = false;
    const hello = (chunk: Buffer) => {
      greeting += chunk.toString("latin1");
      if (greeting.includes("PONG\r\n")) {
        isOpen = true;
        resolve(socket);
      } else if (greeting.includes("INFO ") && !greeting.includes("sent")) {
        greeting += "sent";
        const lines = Buffer.from(`${CONNECT}SUB ${SUBJECT} 1\r\nPING\r\n`);
        socket.write(formatFrame(OPCODE.binary, lines, true));
      }
    };
    socket.on("data", (chunk) => {
      if (!isOpen) return hello(chunk);
      const bytes = frames(chunk);
      if (bytes === PONG_BYTES) crowd.onPong();
      else if (bytes > 0) crowd.onBytes(index, bytes);
    });
    socket.on("error", reject);
    socket.write(UPGRADE);
  });
}

const PONG_BYTES = "PONG\r\n".length;

/** Counts payload bytes of a server's data frames, cut anywhere; leaves control frames out. */
function payloadCounter(): (chunk: Buffer) => number {
  let left = 0;
  let isControl = false;
  let rest: Buffer | null = null;
  return (chunk) => {
    const bytes = rest ? Buffer.concat([rest, chunk]) : chunk;
    rest = null;
    let counted = 0;
    for (let at = 0; at < bytes.length; ) {
      if (left === 0) {
        const short = (bytes[at + 1] ?? 0) & 0x7f;
        const size = short < 126 ? 2 : short === 126 ? 4 : 10;
        if (bytes.length - at < size) {
          rest = Buffer.from(bytes.subarray(at));
          return counted;
        }
        isControl = ((bytes[at] as number) & 0x0f) >= 8;
        left = size === 2 ? short : size === 4 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6);
        at += size;
      }
      const passed = Math.min(left, bytes.length - at);
      left -= passed;
      at += passed;
      if (!isControl) counted += passed;
    }
    return counted;
  };
}
