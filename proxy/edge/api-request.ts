/**
 * Which requests go to the Arvados API, and as what: one target and one set of headers, built here from what the client sent. A target
 * that somebody behind us could read as another one goes nowhere. Pure.
 */
import type { IncomingHttpHeaders } from "node:http";
import { UNKNOWN_ADDRESS } from "../../core/address.ts";
import { pathOf } from "../../runtime/http-server.ts";

/** Arvados' API and its description; neither Workbench's pages nor logins. */
const API_PATHS = ["/arvados/v1/", "/discovery/v1/"];

/** What Arvados has routes for (PROPFIND: a container's log as WebDAV), and whether a body means something there. */
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
 * All that goes over. What is not named stays here: cookies, which a page of another origin makes a browser send; whatever claims who the
 * client is or which URL it asked for (Forwarded, X-Forwarded-*, X-Real-IP, X-Original-URL, X_Forwarded_For ...); whatever belongs to one
 * hop (Connection and all it names, TE, Trailer, Upgrade, Expect, Proxy-*).
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
 * The target as it goes over; null for one that is not the API's; `unclear` for one that begins like the API's and may end elsewhere.
 * @param target of the request line
 */
export function apiTarget(target: string): string | "unclear" | null {
  if (!API_PATHS.some((prefix) => target.startsWith(prefix))) return null;
  // Also no fragment, which has no place in a request.
  if (!/^[\x21\x22\x24-\x7e]+$/.test(target)) return "unclear";
  const { pathname, search } = new URL(target, "http://api.invalid");
  const path = pathOf(target);
  const isOne = pathname === path && !path.includes("//") && path.split("/").every(isClear);
  return isOne ? pathname + search : "unclear";
}

/** Of a segment of the path: whoever decodes it, once or twice, cuts it nowhere, and takes it for no `.` or `..`. */
function isClear(segment: string): boolean {
  let decoded: string;
  try {
    decoded = decodeURIComponent(segment);
  } catch {
    // Not UTF-8: overlong forms of a slash or a dot are such.
    return false;
  }
  // Some compare names as NFKC, which makes dots and slashes out of letters that look like them.
  const plain = decoded.normalize("NFKC");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are looked for.
  if (/[/\\%\x00-\x1f\x7f]/.test(plain) || /%2e/i.test(segment)) return false;
  // A servlet engine cuts a segment at its first semicolon; a file system may drop spaces.
  return !/^\s*\.{1,2}\s*(?:;|$)/.test(plain);
}

export type ApiRefusal = { status: 400 | 405; message: string };

/** Why a request does not go over, or null. What its length says must be one thing to everybody. */
export function apiRefusal(method: string, httpVersion: string, headers: IncomingHttpHeaders): ApiRefusal | null {
  const allowed = Object.hasOwn(METHODS, method) ? METHODS[method] : undefined;
  if (!allowed) return { status: 405, message: `The Arvados API takes no ${method} here.` };
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
 * The headers as they go over; of a request without a refusal.
 * @param address of the client; Arvados is told of none where it is unknown
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
