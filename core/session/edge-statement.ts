/**
 * What the edge tells authcallout about a client, through nats-server, in CONNECT `pass`: `edge1|<address>|<expires>|<signature>`.
 * The signature (Ed25519, by the edge's nkey) covers address, expiry and the token in `auth_token`: nobody can use it for another
 * client's login, or much later. nats-server hands over no HTTP headers and only the edge's own address, hence this. Pure.
 */
import { type KeyObject, sign, verify } from "node:crypto";
import { sha256 } from "../token/token.ts";

const MARK = "edge1|";
/** A login lasts 2 s; the rest is for clocks that differ. */
const LIFE_S = 30;

/** No token of Arvados begins like this or contains `|`. */
export function isStatement(pass: string): boolean {
  return pass.startsWith(MARK);
}

/**
 * @param keys two while the edge's key is being changed, since some authcallouts know only one of them: a signature by each
 * @param address as `canonicalAddress` writes it, or `UNKNOWN_ADDRESS`
 * @param now UTC milliseconds
 */
export function signStatement(keys: readonly KeyObject[], address: string, token: string, now: number): string {
  const said = `${MARK}${address}|${Math.floor(now / 1000) + LIFE_S}`;
  const signatures = keys.map((key) => sign(null, signedText(said, token), key).toString("base64url"));
  return [said, ...signatures].join("|");
}

/** The address, or null if the edge did not sign it for this token, or signed it too long ago. */
export function verifyStatement(keys: readonly KeyObject[], pass: string, token: string, now: number): string | null {
  const [, said, address, expires, signatures] =
    /^(edge1\|([\d.:a-f]+|unknown)\|(\d{1,12}))((?:\|[\w-]{86}){1,2})$/.exec(pass) ?? [];
  if (!said || !address || !signatures || Number(expires) * 1000 <= now) return null;
  const signed = signedText(said, token);
  const given = signatures.slice(1).split("|");
  const isBy = (key: KeyObject) => given.some((text) => verify(null, signed, key, Buffer.from(text, "base64url")));
  return keys.some(isBy) ? address : null;
}

function signedText(said: string, token: string): Buffer {
  return Buffer.from(`${said}|${sha256(token)}`);
}
