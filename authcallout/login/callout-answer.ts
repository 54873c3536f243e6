/** The answer to nats-server (docs/nats-facts.md 1.3): a user JWT with the permissions to enforce, or a reason, in a response JWT, sealed. */
import type { CalloutRequest } from "./callout-request.ts";
import type { Signer } from "./jwt.ts";

/** The account of every user that the callout signs. */
const USERS_ACCOUNT = "APP";
const NO_LIMIT = -1;

export type Admission = {
  name: string;
  /** The members `pub` and `sub` of the user JWT as JSON. */
  permissions: string;
  /** Seconds; the session ends then. */
  expires: number;
};

export function userJwt(signer: Signer, userNkey: string, admission: Admission, issuedAt: number): string {
  const { name, permissions, expires } = admission;
  const head = JSON.stringify({
    iss: signer.publicKey,
    sub: userNkey,
    aud: USERS_ACCOUNT,
    name,
    iat: issuedAt,
    exp: expires,
  });
  const limits = `"subs":${NO_LIMIT},"data":${NO_LIMIT},"payload":${NO_LIMIT}`;
  return signer.signText(`${head.slice(0, -1)},"nats":{${permissions},${limits},"type":"user","version":2}}`);
}

/** @param outcome the user JWT, or the reason of the refusal (it appears in nats-server's log, never at the client) */
export function sealedAnswer(
  request: Pick<CalloutRequest, "userNkey" | "server" | "expires" | "keys">,
  outcome: { jwt: string } | { error: string },
  issuedAt: number,
): Buffer {
  const { keys } = request;
  const head = JSON.stringify({
    iss: keys.signer.publicKey,
    sub: request.userNkey,
    aud: request.server.id,
    iat: issuedAt,
    // The request's own end: nats-server then refuses an answer that arrives too late.
    exp: request.expires,
  });
  // A JWT has no characters to escape, and it is long.
  const inside = "jwt" in outcome ? `"jwt":"${outcome.jwt}"` : `"error":${JSON.stringify(outcome.error)}`;
  const text = keys.signer.signText(
    `${head.slice(0, -1)},"nats":{${inside},"type":"authorization_response","version":2}}`,
  );
  return keys.sealer.seal(Buffer.from(text, "latin1"), request.server.xkey);
}
