/** Dials nats-server's WebSocket listener, and hands over what it sends in small buffers of their own. */
import { randomBytes } from "node:crypto";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { formatUpgrade, readUpgradeAnswer } from "./handshake.ts";

/**
 * Every connection reads into this buffer and copies what came: Node would allocate as much for each read, and cut it down afterwards, which
 * costs several times what a small message does.
 */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

export type UpstreamParts = {
  url: URL;
  headers: Readonly<Record<string, string>>;
  /** nats-server does not upgrade. `status` null: what came is not HTTP, or answers another request. */
  onRefused: (status: number | null) => void;
  /** Frames of nats-server, cut anywhere. */
  onFrames: (chunk: Buffer) => void;
};

/** The socket reports its errors and its end by itself. */
export function dialUpstream({ url, headers, onFrames, onRefused }: UpstreamParts): Socket {
  const key = randomBytes(16).toString("base64");
  let answer = Buffer.alloc(0);
  let state: "asked" | "upgraded" | "refused" = "asked";
  const onChunk = (chunk: Buffer): void => {
    if (state === "upgraded") return onFrames(chunk);
    if (state === "refused") return;
    answer = Buffer.concat([answer, chunk]);
    const read = readUpgradeAnswer(answer, key);
    if (read === null) return;
    answer = Buffer.alloc(0);
    state = read.upgraded ? "upgraded" : "refused";
    if (!read.upgraded) return onRefused(read.status);
    if (read.rest.length > 0) onFrames(read.rest);
  };
  const socket = url.protocol === "wss:" ? dialTls(url, onChunk) : dialTcp(url, onChunk);
  socket.setNoDelay(true);
  socket.write(formatUpgrade({ url, key, headers }));
  return socket;
}

function dialTcp(url: URL, onChunk: (chunk: Buffer) => void): Socket {
  return connectTcp({
    ...placeOf(url, 80),
    onread: {
      buffer: READ_BUFFER,
      callback(length) {
        onChunk(Buffer.from(READ_BUFFER.subarray(0, length)));
        return true;
      },
    },
  });
}

function dialTls(url: URL, onChunk: (chunk: Buffer) => void): Socket {
  const { host, port } = placeOf(url, 443);
  return connectTls({ host, port, servername: isIP(host) ? "" : host }).on("data", onChunk);
}

function placeOf(url: URL, port: number): { host: string; port: number } {
  return { host: url.hostname.replace(/^\[|\]$/g, ""), port: url.port === "" ? port : Number(url.port) };
}
