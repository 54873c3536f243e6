/**
 * Arvados API tokens as text. Forms: a bare secret (v1, also OIDC access tokens), `v2/<uuid>/<secret>`,
 * and `v2/<uuid>/<secret>/<container uuid>` as crunch-run uses it. Source: docs/arvados-permissions.md 5.
 */
import { createHash, createHmac } from "node:crypto";
import { encodeBase32 } from "../base32.ts";
import { isUuid } from "../uuid.ts";

export type ParsedToken =
  | { form: "v1"; secret: string }
  | { form: "v2"; uuid: string; secret: string; container: string | null };

/** Null where the text is no token at all. Longer than any real token is refused before it is hashed. */
export function parseToken(text: string): ParsedToken | null {
  if (text.length > 4096 || !/^[\x21-\x7e]+$/.test(text)) return null;
  if (!text.startsWith("v2/")) return { form: "v1", secret: text };
  const [, uuid = "", secret = "", container, ...rest] = text.split("/");
  if (!isUuid(uuid) || secret === "" || rest.length > 0) return null;
  if (container !== undefined && !isUuid(container)) return null;
  return { form: "v2", uuid, secret, container: container ?? null };
}

/** May another authority know this token: another cluster, or, for a bare one, an OIDC provider? */
export function isOfAnother(token: ParsedToken, clusterId: string): boolean {
  return token.form === "v1" || !token.uuid.startsWith(`${clusterId}-`);
}

/** Lower-case hex SHA-256. */
export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** The salted form of a secret for the cluster `remote`: 40 hex characters. */
export function saltedSecret(secret: string, remote: string): string {
  return createHmac("sha1", secret).update(remote).digest("hex");
}

/** How Arvados stores an OIDC access token: hex HMAC-SHA256 with the system root token as key. */
export function oidcSecret(token: string, systemRootToken: string): string {
  return createHmac("sha256", systemRootToken).update(token).digest("hex");
}

/**
 * The token part of a session's subjects (docs/subjects.md 4), which the holder can compute: the token's uuid; for a bare token
 * `h` + the first 26 characters of its SHA-256 in lower-case base32; for a container-suffixed token `c_<uuid>_<container>`,
 * so that it shares nothing with the same token sent without the suffix.
 */
export function sessionTokenOf(token: ParsedToken): string {
  if (token.form === "v1") return bareSessionToken(sha256(token.secret));
  return token.container === null ? token.uuid : `c_${token.uuid}_${token.container}`;
}

/** The stored token and the container in the session token of a container-suffixed one; null for any other. */
export function suffixedParts(sessionToken: string): { token: string; container: string } | null {
  const [, token, container] = /^c_([^_]+)_([^_]+)$/.exec(sessionToken) ?? [];
  return token !== undefined && container !== undefined ? { token, container } : null;
}

/** May another authority know the token of a session with this session token: `isOfAnother` by its name alone. */
export function isSessionTokenOfAnother(sessionToken: string, clusterId: string): boolean {
  return !(suffixedParts(sessionToken)?.token ?? sessionToken).startsWith(`${clusterId}-`);
}

/** Is it the session token of a bare one? A cluster's id, with which the others begin, may have any first letter. */
export function isBareSessionToken(sessionToken: string): boolean {
  return /^h[a-z2-7]{26}$/.test(sessionToken);
}

/** A bare token's session token, from its hex SHA-256. */
export function bareSessionToken(sha256Hex: string): string {
  return `h${encodeBase32(Buffer.from(sha256Hex, "hex")).slice(0, 26).toLowerCase()}`;
}
