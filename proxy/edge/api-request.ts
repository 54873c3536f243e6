/**
 * Which requests go to the Arvados API, and in what form: one target and one set of headers, built here from what the client sent. A
 * target that a server behind the proxy could read as another path is refused. Pure.
 */
import type { IncomingHttpHeaders } from "node:http";
import { UNKNOWN_ADDRESS } from "../../core/address.ts";
import { pathOf } from "../../runtime/http-server.ts";

/** Arvados' API and its description; neither Workbench's pages nor logins. */
const API_PATHS = ["/arvados/v1/", "/discovery/v1/"];

/** The methods that Arvados has routes for (PROPFIND: a container's log as WebDAV), and whether a body is allowed. */
const METHODS: Readonly<Record<string, { body: boolean }>> = {
  GET: { body: false },
  HEAD: { body: false },
  OPTIONS: { body: false },
  DELETE: { body: false },
  POST: { body: true },
  PUT: { body: true },
  PATCH: { body: true },
  PROPFIND: { body: true },
};

/**
 * The headers that are passed on. All others are dropped: cookies, which a page of another origin can make a browser send; claims about the
 * client or the URL (Forwarded, X-Forwarded-*, X-Real-IP, X-Original-URL, X_Forwarded_For ...); headers of one hop (Connection and all
 * that it names, TE, Trailer, Upgrade, Expect, Proxy-*).
 */
const HEADERS = [
  "accept",
  "accept-encoding",
  "accept-language",
  "access-control-request-headers",
  "access-control-request-method",
  "authorization",
  "cache-control",
  "content-encoding",
  "content-language",
  "content-type",
  "depth",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "origin",
  "pragma",
  "range",
  "referer",
  "user-agent",
  "x-http-method-override",
  "x-request-id",
  "x-requested-with",
] as const;

/**
 * The target to send; null if it is not the API's; `unclear` if it begins like the API's but could be read as another path.
 * @param target of the request line
 */
export function apiTarget(target: string): string | "unclear" | null {
  if (!API_PATHS.some((prefix) => target.startsWith(prefix))) return null;
  // This also excludes a fragment, which a request must not have.
  if (!/^[\x21\x22\x24-\x7e]+$/.test(target)) return "unclear";
  const { pathname, search } = new URL(target, "http://api.invalid");
  const path = pathOf(target);
  const isOne = pathname === path && !path.includes("//") && path.split("/").every(isClear);
  return isOne ? pathname + search : "unclear";
}

/** A segment of the path that no server splits, or reads as `.` or `..`, however often it decodes it. */
function isClear(segment: string): boolean {
  let decoded: string;
  try {
    decoded = decodeURIComponent(segment);
  } catch {
    // Not UTF-8, as overlong forms of a slash or a dot are.
    return false;
  }
  // Some servers normalize names to NFKC, which turns characters that look like dots and slashes into them.
  const plain = decoded.normalize("NFKC");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the expression searches for them.
  if (/[/\\%\x00-\x1f\x7f]/.test(plain) || /%2e/i.test(segment)) return false;
  // A servlet engine ends a segment at its first semicolon; a file system may drop spaces.
  return !/^\s*\.{1,2}\s*(?:;|$)/.test(plain);
}

export type ApiRefusal = { status: 400 | 405; message: string };

/** Why a request is refused, or null. Every server must read the same length of its body. */
export function apiRefusal(method: string, httpVersion: string, headers: IncomingHttpHeaders): ApiRefusal | null {
  const allowed = Object.hasOwn(METHODS, method) ? METHODS[method] : undefined;
  if (!allowed) return { status: 405, message: `The Arvados API accepts no ${method} here.` };
  const { "transfer-encoding": encoding, "content-length": length } = headers;
  const isChunked = encoding !== undefined;
  if (isChunked && (encoding.toLowerCase() !== "chunked" || length !== undefined || httpVersion !== "1.1")) {
    return { status: 400, message: "The length of this request's body is not clear." };
  }
  if (length !== undefined && !/^\d{1,15}$/.test(length)) {
    return { status: 400, message: "The length of this request's body is not clear." };
  }
  if (!allowed.body && (isChunked || Number(length ?? 0) > 0)) {
    return { status: 400, message: `A ${method} has no body here.` };
  }
  return null;
}

/**
 * The headers to send, for a request that is not refused.
 * @param address of the client; not sent if it is unknown
 */
export function apiHeaders(method: string, given: IncomingHttpHeaders, address: string): Record<string, string> {
  const headers: Record<string, string> = {};
  const hops = new Set(
    (given.connection ?? "")
      .toLowerCase()
      .split(",")
      .map((name) => name.trim()),
  );
  for (const name of HEADERS) {
    const value = given[name];
    if (value !== undefined && !hops.has(name)) headers[name] = value.toString();
  }
  if (address !== UNKNOWN_ADDRESS) headers["x-forwarded-for"] = address;
  if (given["transfer-encoding"] !== undefined) headers["transfer-encoding"] = "chunked";
  else if (given["content-length"] !== undefined || METHODS[method]?.body) {
    headers["content-length"] = given["content-length"] ?? "0";
  }
  return headers;
}
