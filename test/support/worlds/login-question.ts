/** A nats-server's question about a login, made by hand, and a responder to put it to: both in memory. */
import { createCurve, createPair, type KeyPair, Prefix } from "@nats-io/nkeys";
import { type Claims, createSigner } from "../../../authcallout/login/jwt.ts";
import { type Question, Responder, type ResponderParts } from "../../../authcallout/login/responder.ts";
import { createSealer } from "../../../authcallout/login/xkey.ts";
import { responderParts, TOKEN } from "./responder.ts";

export const NOW = 1_000_000_000_000;

export const seedOf = (pair: KeyPair) => new TextDecoder().decode(pair.getSeed());
const [issuer, server, edge] = [Prefix.Account, Prefix.Server, Prefix.User].map((type) => createPair(type)) as [
  KeyPair,
  KeyPair,
  KeyPair,
];
const [ours, theirs] = [createCurve(), createCurve()];
const theirSealer = createSealer(seedOf(theirs));
const serverSigner = createSigner("server", seedOf(server));

export const SEEDS = { issuer: seedOf(issuer), edge: seedOf(edge) };
/** Of the curve keys the server's, and ours. */
export const PUBLIC = { issuer: issuer.getPublicKey(), theirs: theirs.getPublicKey(), ours: ours.getPublicKey() };

export function world(change: Partial<ResponderParts> = {}) {
  const results: string[] = [];
  const keys = { issuer: SEEDS.issuer, xkey: seedOf(ours), edge: edge.getPublicKey() };
  const parts = { ...responderParts(keys, (result) => void results.push(result)), now: () => NOW, ...change };
  const responder = new Responder(parts);
  const ask = (asked: Partial<Question>) => {
    const answers: Uint8Array[] = [];
    const respond = (body?: unknown) => answers.push(body as Uint8Array) > 0;
    const taken = responder.accept({ data: new Uint8Array(), respond, ...asked } as Question);
    return { taken, answers };
  };
  return { ask, results, sessions: parts.sessions, responder };
}

/** What the server signs. */
export function claimsOf(connect_opts: object = { pass: `v2/${TOKEN}/secret` }, host = "10.0.0.1") {
  return {
    sub: PUBLIC.issuer,
    aud: "nats-authorization-request",
    exp: NOW / 1000 + 2,
    nats: {
      server_id: { id: server.getPublicKey(), name: "n1", xkey: PUBLIC.theirs },
      user_nkey: "UABC",
      client_info: { id: 7, host },
      connect_opts,
      type: "authorization_request",
    },
  };
}

export function question(claims: object = {}, connect_opts?: object, host?: string): Partial<Question> {
  return sealed(signed({ ...claimsOf(connect_opts, host), ...claims }));
}

export function signed(claims: Omit<Claims, "iss"> = claimsOf()): Buffer {
  return Buffer.from(serverSigner.sign(claims));
}

/** @param to a public curve key */
export function sealed(plain: Buffer, to = PUBLIC.ours): Partial<Question> {
  return from(PUBLIC.theirs, theirSealer.seal(plain, to));
}

/** As if it had come from the holder of this curve key. */
export function from(key: string, data: Uint8Array): Partial<Question> {
  return { data, headers: { get: () => key } as unknown as NonNullable<Question["headers"]> };
}

/** The claims of an answer, as nats-server opens it. */
export function opened(body: Uint8Array | undefined): { exp: number; nats: { jwt?: string; error?: string } } {
  return payloadOf(theirSealer.open(body ?? new Uint8Array(), PUBLIC.ours)?.toString());
}

/** The claims of a JWT. */
export function payloadOf<T>(jwt: string | undefined): T {
  return JSON.parse(Buffer.from(jwt?.split(".")[1] ?? "", "base64url").toString()) as T;
}
