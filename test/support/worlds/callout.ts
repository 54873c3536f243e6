/** A callout of a few lines for tests of what surrounds it: a function says who may do what, everybody else is refused. */

import { randomUUID } from "node:crypto";
import { headers, type Msg } from "@nats-io/nats-core";
import { fromCurveSeed, fromSeed } from "@nats-io/nkeys";
import type { TestNats } from "../servers/nats.ts";

/** What a client sent in CONNECT, as far as tests ask. */
export type ConnectOpts = { auth_token?: string; user?: string; pass?: string; name?: string; lang?: string };

/** Empty lists would allow everything, so at least one subject stands in each. */
export type TestUser = {
  name: string;
  publish: [string, ...string[]];
  subscribe: [string, ...string[]];
  /** Where the user is put; the product's callout says APP only. */
  account?: string;
};

type Request = { nats: { user_nkey: string; server_id: { id: string; xkey?: string }; connect_opts: ConnectOpts } };

/** Answers logins until the test's connection closes. */
export async function startTestCallout(
  nats: TestNats,
  authorize: (opts: ConnectOpts) => TestUser | null,
): Promise<void> {
  const connection = await nats.connect("authcallout", "CORE");
  const curve = fromCurveSeed(encode(nats.keys.xkey.seed));
  const sign = signer(nats.keys.issuer.seed, nats.keys.issuer.public);
  const answer = (message: Msg): void => {
    const serverKey = message.headers?.get("Nats-Server-Xkey") ?? "";
    const opened = curve.open(message.data, serverKey);
    if (!opened) return;
    const { nats: request } = claimsOf(new TextDecoder().decode(opened));
    const user = authorize(request.connect_opts);
    const body = user === null ? { error: "refused" } : { jwt: sign(userClaims(user, request.user_nkey)) };
    const response = sign({
      sub: request.user_nkey,
      aud: request.server_id.id,
      nats: { ...body, type: "authorization_response", version: 2 },
    });
    message.respond(curve.seal(encode(response), serverKey), { headers: headers() });
  };
  connection.subscribe("$SYS.REQ.USER.AUTH", { queue: "callout", callback: (_error, message) => answer(message) });
  await connection.flush();
}

function userClaims(user: TestUser, nkey: string): object {
  return {
    sub: nkey,
    aud: user.account ?? "APP",
    name: user.name,
    nats: { pub: { allow: user.publish }, sub: { allow: user.subscribe }, type: "user", version: 2 },
  };
}

function signer(seed: string, issuer: string): (claims: object) => string {
  const pair = fromSeed(encode(seed));
  return (claims) => {
    const complete = { jti: randomUUID(), iat: Math.floor(Date.now() / 1000), iss: issuer, ...claims };
    const text = `${segment({ typ: "JWT", alg: "ed25519-nkey" })}.${segment(complete)}`;
    return `${text}.${Buffer.from(pair.sign(encode(text))).toString("base64url")}`;
  };
}

function claimsOf(jwt: string): Request {
  return JSON.parse(Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString("utf8")) as Request;
}

function segment(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
