/** The two lines of the NATS protocol that the edge reads: the server's INFO, and the client's CONNECT, which it rewrites. Pure. */
import type { CloseName } from "../../core/close-codes.ts";

/** As nats-server's own max_control_line. */
const CONNECT_BYTES = 4096;
/** INFO names every server of a cluster. */
const INFO_BYTES = 64 * 1024;

export type ConnectFields = Readonly<Record<string, unknown>>;

export type ReadConnect =
  | { incomplete: true }
  | { refused: CloseName }
  /** `rest` = the bytes after the line. */
  | { options: ConnectFields; rest: Buffer };

/** @param bytes all that the client has sent so far. nats-server accepts nothing before CONNECT, so anything else is refused at once. */
export function readConnect(bytes: Buffer): ReadConnect {
  const head = bytes.subarray(0, 8).toString("latin1").toUpperCase();
  if (!"CONNECT ".startsWith(head) && !"CONNECT\t".startsWith(head)) return { refused: "connectInvalid" };
  const end = bytes.indexOf("\n");
  if (end > CONNECT_BYTES || (end < 0 && bytes.length > CONNECT_BYTES)) return { refused: "connectTooLong" };
  if (end < 0) return { incomplete: true };
  const options = jsonObject(bytes.subarray(8, end));
  return options ? { options, rest: bytes.subarray(end + 1) } : { refused: "connectInvalid" };
}

/** The token as the callout reads it: from `auth_token`, otherwise from `pass`. Empty if there is none. */
export function tokenOf({ auth_token, pass }: ConnectFields): string {
  return ([auth_token, pass].find((value) => typeof value === "string" && value !== "") as string | undefined) ?? "";
}

export type Additions = { auth_token: string; pass: string; proxy_sig?: string };

/**
 * The line with the edge's fields instead of the client's. With `protocol` 0 nats-server sends only the first INFO, so the edge need not
 * filter later ones, which name the cluster's addresses. nats-server matches field names in any case and also some letters outside of ASCII,
 * and the last field wins: so only plain lower-case names pass.
 */
export function formatConnect(options: ConnectFields, additions: Additions): Buffer {
  const plain = Object.entries(options).filter(([name]) => /^[a-z_]+$/.test(name) && name !== "proxy_sig");
  return Buffer.from(`CONNECT ${JSON.stringify({ ...Object.fromEntries(plain), protocol: 0, ...additions })}\r\n`);
}

/** What clients need to know about a server. The other fields are internal addresses and names. */
const INFO_FIELDS = [
  "server_id",
  "version",
  "proto",
  "headers",
  "auth_required",
  "tls_required",
  "tls_verify",
  "tls_available",
  "max_payload",
  "jetstream",
  "client_id",
  "nonce",
  "ldm",
  "api_lvl",
];

export type ReadInfo = "incomplete" | "invalid" | { nonce: string | null };

/** @param bytes all that nats-server has sent so far */
export function readInfo(bytes: Buffer): ReadInfo {
  const end = bytes.indexOf("\n");
  if (end < 0) return bytes.length > INFO_BYTES ? "invalid" : "incomplete";
  const info = bytes.subarray(0, 5).toString("latin1") === "INFO " ? jsonObject(bytes.subarray(5, end)) : null;
  if (!info) return "invalid";
  // Only base64, so that no text that means something else gets signed as a nonce.
  const { nonce } = info;
  return { nonce: typeof nonce === "string" && /^[\w-]{8,64}$/.test(nonce) ? nonce : null };
}

/** The bytes for the client, once `readInfo` has found INFO: that line without addresses, and all bytes after it. */
export function clientInfo(bytes: Buffer): Buffer {
  const end = bytes.indexOf("\n");
  const info = jsonObject(bytes.subarray(5, end));
  return Buffer.concat([Buffer.from(`INFO ${JSON.stringify(info, INFO_FIELDS)}\r\n`), bytes.subarray(end + 1)]);
}

function jsonObject(bytes: Buffer): ConnectFields | null {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as ConnectFields) : null;
  } catch {
    // Not JSON.
    return null;
  }
}
