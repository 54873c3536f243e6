/** The two lines of the NATS protocol that the edge reads: the server's INFO, and the client's CONNECT, which it writes anew. Pure. */
import type { CloseName } from "../../core/close-codes.ts";

/** As nats-server's own max_control_line. */
const CONNECT_BYTES = 4096;
/** INFO names every server of a cluster. */
const INFO_BYTES = 64 * 1024;

export type ConnectOptions = Readonly<Record<string, unknown>>;

export type ReadConnect =
  | { incomplete: true }
  | { refused: CloseName }
  /** `rest` = what came behind it. */
  | { options: ConnectOptions; rest: Buffer };

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
export function tokenOf({ auth_token, pass }: ConnectOptions): string {
  return ([auth_token, pass].find((value) => typeof value === "string" && value !== "") as string | undefined) ?? "";
}

export type Additions = { auth_token: string; pass: string; proxy_sig?: string };

/**
 * The line with our own fields in place of the client's. nats-server reads names whatever their case, and some letters outside of ASCII
 * as well, and the last one wins: so only names that can be nothing else pass.
 */
export function formatConnect(options: ConnectOptions, additions: Additions): Buffer {
  const plain = Object.entries(options).filter(([name]) => /^[a-z_]+$/.test(name) && name !== "proxy_sig");
  return Buffer.from(`CONNECT ${JSON.stringify({ ...Object.fromEntries(plain), ...additions })}\r\n`);
}

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

function jsonObject(bytes: Buffer): ConnectOptions | null {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as ConnectOptions) : null;
  } catch {
    // Not JSON: no line of the protocol.
    return null;
  }
}
