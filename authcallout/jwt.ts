/** NATS JWTs (Ed25519, algorithm `ed25519-nkey`): claims in, text out, and back. Native crypto; keys of known signers are kept. */
import { createHash, type KeyObject, sign, verify } from "node:crypto";
import {
  type KeyType,
  publicKeyBytes,
  publicKeyText,
  rawPublicKey,
  seedBytes,
  signingKey,
  verifyingKey,
} from "./nkey.ts";

const HEADER = Buffer.from(JSON.stringify({ typ: "JWT", alg: "ed25519-nkey" })).toString("base64url");
const KEPT_KEYS = 64;

export type Claims = {
  iss: string;
  sub: string;
  aud?: string;
  name?: string;
  /** Seconds. */
  exp?: number;
  iat?: number;
  jti?: string;
  nats: Record<string, unknown>;
};

export type Signer = { publicKey: string; sign(claims: Omit<Claims, "iss" | "jti">): string };

export function createSigner(type: KeyType, seed: string): Signer {
  const key = signingKey(seedBytes(type, seed));
  const publicKey = publicKeyText(type, rawPublicKey(key));
  return {
    publicKey,
    sign(claims) {
      const body = { ...claims, iss: publicKey };
      const jti = createHash("sha256").update(JSON.stringify(body)).digest("base64url");
      const payload = `${HEADER}.${Buffer.from(JSON.stringify({ ...body, jti })).toString("base64url")}`;
      return `${payload}.${sign(null, Buffer.from(payload), key).toString("base64url")}`;
    },
  };
}

export type Verifier = {
  /** The claims of a token signed by its own `iss`, a key of that type; null otherwise. Times are the caller's to check. */
  verify(token: string): Claims | null;
};

export function createVerifier(issuerType: KeyType): Verifier {
  const keys = new Map<string, KeyObject>();

  const keyOf = (issuer: string): KeyObject => {
    const known = keys.get(issuer);
    if (known) return known;
    const key = verifyingKey(publicKeyBytes(issuerType, issuer));
    if (keys.size >= KEPT_KEYS) keys.delete(keys.keys().next().value as string);
    keys.set(issuer, key);
    return key;
  };

  return {
    verify(token) {
      const [head = "", payload = "", signature = "", ...rest] = token.split(".");
      if (rest.length > 0) return null;
      try {
        const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as Claims;
        if (typeof claims.iss !== "string" || typeof claims.nats !== "object" || claims.nats === null) return null;
        const signed = Buffer.from(`${head}.${payload}`);
        return verify(null, signed, keyOf(claims.iss), Buffer.from(signature, "base64url")) ? claims : null;
      } catch {
        // Not base64, not JSON, not a key: no claims that anybody vouches for.
        return null;
      }
    },
  };
}
