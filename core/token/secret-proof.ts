/**
 * Which secret a session logged in with. The proof stands in the session's name, so that every replica, also one that has just started, can tell
 * whether the token's row still has that secret. It is the beginning of a SHA-256 that GRAPH holds anyway, never a secret. Pure.
 */
import type { ContainerRow, TokenRow } from "../rows.ts";
import { bareSessionToken, isBareSessionToken, oidcSecret, type ParsedToken, saltedSecret, sha256 } from "./token.ts";

/** Hex digits: 96 bits. */
const LENGTH = 24;

/**
 * A bare token's session is named for its own hash: its proof is the other form in which Arvados may have stored it. With a container
 * the whole token is proven too, since that is what the container's row holds.
 */
export function secretProof(token: ParsedToken, systemRootToken: string): string {
  if (token.form === "v1") return proofPart(sha256(oidcSecret(token.secret, systemRootToken)));
  const secret = proofPart(sha256(token.secret));
  return token.container === null ? secret : secret + proofPart(sha256(`v2/${token.uuid}/${token.secret}`));
}

/** Does the row still have the secret with which a session of this session token logged in? */
export function provesToken(
  proof: string,
  sessionToken: string,
  row: Pick<TokenRow, "secret_sha256" | "salted_sha256">,
): boolean {
  const part = proof.slice(0, LENGTH);
  if (isBareSessionToken(sessionToken))
    return part === proofPart(row.secret_sha256) || sessionToken === bareSessionToken(row.secret_sha256);
  return part === proofPart(row.secret_sha256) || part === proofPart(row.salted_sha256);
}

/** The same of a container that was given its token. */
export function provesRuntimeToken(proof: string, { runtime_token_sha256 }: ContainerRow): boolean {
  return runtime_token_sha256 === null || proof.slice(LENGTH) === proofPart(runtime_token_sha256);
}

/** Hashes of a secret that stands in the settings, as a row has them. */
export function hashesOf(secret: string, clusterId: string): Pick<TokenRow, "secret_sha256" | "salted_sha256"> {
  return { secret_sha256: sha256(secret), salted_sha256: sha256(saltedSecret(secret, clusterId)) };
}

function proofPart(sha256Hex: string): string {
  return sha256Hex.slice(0, LENGTH);
}
