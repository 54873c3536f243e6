/** The two lines of the NATS protocol that the edge reads: the server's INFO, and the client's CONNECT, which it writes anew. Pure. */
import type { CloseName } from "../../core/close-codes.ts";

/** As nats-server's own max_control_line. */
const CONNECT_BYTES = 4096;
/** INFO names every server of a cluster. */
const INFO_BYTES = 64 * 1024;

export type ConnectFields = Readonly<Record<string, unknown>>;

export type ReadConnect =
  | { incomplete: true }
  | { refused: CloseName }
  /** `rest` = what came behind it. */
  | { options: ConnectFields; rest: Buffer };

/** @param bytes all that the client has sent so far. nats-server takes nothing before CONNECT, so what begins otherwise is refused at once. */
export function readConnect(bytes: Buffer): ReadConnect {
  const head = bytes.subarray(0, 8).toString("latin1").toUpperCase();
  if (!"CONNECT ".startsWith(head) && !"CONNECT\t".startsWith(head)) return { refused: "connectInvalid" };
  const end = bytes.indexOf("\n");
  if (end > CONNECT_BYTES || (end < 0 && bytes.length > CONNECT_BYTES)) return { refused: "connectTooLong" };
  if (end < 0) return { incomplete: true };
  const options = jsonObject(bytes.subarray(8, end));
  return options ? { options, rest: bytes.subarray(end + 1) } : { refused: "connectInvalid" };
}

/** The token as the callout would take it: from `auth_token`, else from `pass`. Empty where there is none. */
export function tokenOf({ auth_token, pass }: ConnectFields): string {
  return ([auth_token, pass].find((value) => typeof value === "string" && value !== "") as string | undefined) ?? "";
}

export type Additions = { auth_token: string; pass: string; proxy_sig?: string };

/**
 * The line with our own fields in place of the client's. `protocol` 0 is a client that takes one INFO, the first: nats-server sends it none
 * later on (they name its cluster's addresses), so the edge has no need to read on. nats-server reads names whatever their case, and some letters outside of ASCII
 * as well, and the last one wins: so only names that can be nothing else pass.
 */
export function formatConnect(options: ConnectFields, additions: Additions): Buffer {
  const plain = Object.entries(options).filter(([name]) => /^[a-z_]+$/.test(name) && name !== "proxy_sig");
  return Buffer.from(`CONNECT ${JSON.stringify({ ...Object.fromEntries(plain), protocol: 0, ...additions })}\r\n`);
}

/** What clients need to know of a server. The rest is where it is: addresses and names inside, of itself and of others. */
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
  // Letters of base64 only, so that nobody gets a statement about an address signed by sending it as nonce.
  const { nonce } = info;
  return { nonce: typeof nonce === "string" && /^[\w-]{8,64}$/.test(nonce) ? nonce : null };
}

/** What a client gets of the bytes in which `readInfo` has found INFO: that line without addresses, and what came behind it as it is. */
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
    // Not JSON: no line of the protocol.
    return null;
  }
}
