/**
 * The identity of a session, computed by the client before it connects: session token, session id, and the options for `connect`.
 */
import { encodeBase32 } from "../core/base32.ts";
import { type SessionKey, subjectsOf } from "../core/subjects.ts";
import { isUuid } from "../core/uuid.ts";
import { type ReconnectDelay, reconnectDelay } from "./backoff.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const SID = /^[A-Za-z0-9]{16,32}$/;
const SID_LENGTH = 22;

export type FillRandom = (bytes: Uint8Array<ArrayBuffer>) => Uint8Array;

/** A new session id: 22 of `[A-Za-z0-9]`, 131 bits. */
export function sessionId(random: FillRandom = (bytes) => crypto.getRandomValues(bytes)): string {
  let sid = "";
  while (sid.length < SID_LENGTH) {
    for (const byte of random(new Uint8Array(SID_LENGTH))) {
      // 248 = 4 * 62: larger bytes would favour the alphabet's first letters.
      if (byte < 248 && sid.length < SID_LENGTH) sid += ALPHABET[byte % ALPHABET.length];
    }
  }
  return sid;
}

/**
 * The public name of a token, as `sessionTokenOf` in core/token/token.ts computes it (that one is for Node only): the uuid inside
 * `v2/<uuid>/<secret>`; `c_<uuid>_<container>` if a container follows; for tokens without a uuid (v1, OIDC)
 * `h` + the first 26 characters of base32(SHA-256(token)).
 */
export async function sessionToken(token: string): Promise<string> {
  if (token === "") throw new TypeError("the token is empty");
  if (token.startsWith("v2/")) {
    const [, uuid = "", , container] = token.split("/");
    if (!isUuid(uuid)) throw new TypeError("the token begins with v2/ but holds no token uuid");
    return container === undefined ? uuid : `c_${uuid}_${container}`;
  }
  // Browsers have SubtleCrypto on https and localhost only.
  if (globalThis.crypto?.subtle === undefined) {
    throw new TypeError("a token that is not of the v2 form needs a secure page (https or localhost)");
  }
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
  return `h${encodeBase32(new Uint8Array(digest)).slice(0, 26).toLowerCase()}`;
}

export async function sessionKey(token: string, sid: string): Promise<SessionKey> {
  if (!SID.test(sid)) throw new TypeError("a session id is 16 to 32 letters and digits");
  return { sessionToken: await sessionToken(token), sid };
}

export type ConnectOptions = {
  user: string;
  pass: string;
  inboxPrefix: string;
  ignoreAuthErrorAbort: true;
  ignoreClusterUpdates: true;
  maxReconnectAttempts: number;
  reconnectDelayHandler: ReconnectDelay;
  pingInterval: number;
  maxPingOut: number;
};

/**
 * Options for `connect`/`wsconnect` of every supported client library; add `servers`.
 * The libraries' defaults would end a session for good: they close at the second refused login of a connection (an outage of the auth
 * callout looks like a refusal) and after ten attempts to reconnect.
 */
export async function connectOptions(token: string, sid: string): Promise<ConnectOptions> {
  const key = await sessionKey(token, sid);
  return {
    user: sid,
    pass: token,
    inboxPrefix: subjectsOf("").inboxPrefix(key),
    ignoreAuthErrorAbort: true,
    // Addresses that a server advertises bypass the given URL, which may be the edge or the site's name for its servers.
    ignoreClusterUpdates: true,
    maxReconnectAttempts: -1,
    reconnectDelayHandler: reconnectDelay(),
    // Two missed pings = 20 s until a dead path is noticed, instead of the libraries' 4 minutes.
    pingInterval: 10_000,
    maxPingOut: 2,
  };
}
