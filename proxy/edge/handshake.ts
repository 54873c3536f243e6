/** The opening handshake of WebSocket (RFC 6455, 4), both sides of it, without extensions and subprotocols. Pure. */
import { createHash } from "node:crypto";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";

const ACCEPT_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY = /^[+/0-9A-Za-z]{22}==$/;
/** nats-server answers with a few hundred bytes. */
const ANSWER_BYTES = 16 * 1024;

export type UpgradeRefusal = { status: string; headers: string[] };

/** @returns the bytes that accept the request, or why it cannot be accepted */
export function acceptUpgrade({
  method,
  headers,
}: Pick<IncomingMessage, "method" | "headers">): Buffer | UpgradeRefusal {
  const key = headers["sec-websocket-key"];
  if (method !== "GET") return { status: "405 Method Not Allowed", headers: ["Allow: GET"] };
  if (!isWebsocket(headers) || key === undefined || !KEY.test(key)) return { status: "400 Bad Request", headers: [] };
  if (headers["sec-websocket-version"] !== "13")
    return { status: "426 Upgrade Required", headers: ["Sec-WebSocket-Version: 13", "Upgrade: websocket"] };
  return Buffer.from(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptOf(key)}\r\n\r\n`,
  );
}

export type UpgradeRequest = {
  url: URL;
  /** Base64 of 16 random bytes. */
  key: string;
  headers: Readonly<Record<string, string>>;
};

export function formatUpgrade({ url, key, headers }: UpgradeRequest): Buffer {
  const all = {
    Host: url.host,
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": key,
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return Buffer.from(`GET ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
}

export type UpgradeAnswer =
  | { upgraded: true; rest: Buffer }
  /** `status` null: not HTTP, or another's answer. */
  | { upgraded: false; status: number | null };

/** @param bytes all that has come; null where the answer is not there whole */
export function readUpgradeAnswer(bytes: Buffer, key: string): UpgradeAnswer | null {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return bytes.length > ANSWER_BYTES ? { upgraded: false, status: null } : null;
  const [first = "", ...lines] = bytes.subarray(0, end).toString("latin1").split("\r\n");
  const [, status] = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first) ?? [];
  if (status !== "101") return { upgraded: false, status: status === undefined ? null : Number(status) };
  const accept = lines.map((line) => /^sec-websocket-accept:\s*(\S+)\s*$/i.exec(line)?.[1]).find(Boolean);
  return accept === acceptOf(key)
    ? { upgraded: true, rest: bytes.subarray(end + 4) }
    : { upgraded: false, status: null };
}

function isWebsocket({ upgrade }: IncomingHttpHeaders): boolean {
  return upgrade?.toLowerCase() === "websocket";
}

function acceptOf(key: string): string {
  return createHash("sha1")
    .update(key + ACCEPT_SUFFIX)
    .digest("base64");
}
