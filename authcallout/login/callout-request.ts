/** nats-server's request (docs/nats-facts.md 1.2), decoded and checked. Pure: the keys are arguments. */
import type { KeyObject } from "node:crypto";
import { type Fault, fault } from "../../core/errors.ts";
import { isStatement, verifyStatement } from "../../core/session/edge-statement.ts";
import type { Signer, Verifier } from "./jwt.ts";
import type { Sealer } from "./xkey.ts";

export type CalloutRequest = {
  /** The nkey that the answer names: a new one for each attempt. */
  userNkey: string;
  server: { id: string; name: string; xkey: string };
  /** The id of the connection at that server. */
  cid: number;
  /** The client's address: as the edge states it, otherwise that of the connection's peer. */
  host: string;
  /** Why the login is refused whatever its token: the wrong kind of connection, or a false statement about the client's address. */
  refusal: Fault | null;
  /** CONNECT `user`: the session id that the client chose. */
  user: string | undefined;
  /** The Arvados token: CONNECT `auth_token`, otherwise `pass` unless that is the edge's statement. */
  token: string;
  /** Seconds: when the server stops waiting. */
  expires: number;
  /** The pair of the callout's keys that this server knows. */
  keys: AnswerKeys;
};

/** The issuer and the curve key that one configuration of nats-server names. */
export type AnswerKeys = { signer: Signer; sealer: Sealer };

export type RequestKeys = {
  /** More than one while keys are replaced: servers that know the old pair and servers that know the new pair are both answered. */
  pairs: readonly AnswerKeys[];
  verifier: Verifier;
  /** The edge's public keys. */
  edges: readonly KeyObject[];
};

const AUDIENCE = "nats-authorization-request";

type Raw = {
  server_id?: { id?: unknown; name?: unknown; xkey?: unknown };
  user_nkey?: unknown;
  client_info?: { id?: unknown; host?: unknown; kind?: unknown; type?: unknown };
  connect_opts?: { auth_token?: unknown; user?: unknown; pass?: unknown };
  type?: unknown;
};

/**
 * @param serverXkey the header `Nats-Server-Xkey`; a request without it is not encrypted and refused
 * @param now UTC milliseconds
 */
export function decodeRequest(
  body: Uint8Array,
  serverXkey: string | undefined,
  keys: RequestKeys,
  now: number,
): CalloutRequest | Fault {
  const refuse = (reason: string) => fault("callout.request", { reason });
  if (!serverXkey) return refuse("it is not encrypted");
  const opened = openedBy(keys.pairs, body, serverXkey);
  if (!opened) return refuse("it cannot be decrypted");
  const { plain, pair } = opened;
  const claims = keys.verifier.verify(plain.toString());
  if (!claims) return refuse("its signature is not a server's");
  const raw = claims.nats as Raw;
  const server = raw.server_id ?? {};
  if (claims.aud !== AUDIENCE || raw.type !== "authorization_request")
    return refuse("it is not an authorization request");
  if (server.id !== claims.iss) return refuse("its issuer is not the server it speaks for");
  if (server.xkey !== serverXkey) return refuse("its encryption key is not the server's");
  const expires = claims.exp ?? 0;
  if (expires * 1000 <= now) return refuse("it has expired");
  const cid = raw.client_info?.id;
  if (typeof raw.user_nkey !== "string" || typeof cid !== "number") return refuse("it names no connection");
  const options = raw.connect_opts ?? {};
  const pass = textOf(options.pass);
  const stated = isStatement(pass);
  const token = textOf(options.auth_token) || (stated ? "" : pass);
  const peer = textOf(raw.client_info?.host);
  const address = stated ? verifyStatement(keys.edges, pass, token, now) : peer;
  return {
    userNkey: raw.user_nkey,
    server: { id: claims.iss, name: textOf(server.name), xkey: serverXkey },
    cid,
    host: address ?? peer,
    refusal:
      kindFault(raw.client_info ?? {}, peer) ?? (address === null ? fault("login.statement", { host: peer }) : null),
    user: typeof options.user === "string" ? options.user : undefined,
    token,
    expires,
    keys: pair,
  };
}

/** By nats-server's names. Connections by leafnode or MQTT appear in no listing of sessions, so they could not be cut. */
function kindFault({ kind, type }: NonNullable<Raw["client_info"]>, host: string): Fault | null {
  const isOurs = (kind ?? "Client") === "Client" && (type === undefined || type === "nats" || type === "websocket");
  if (isOurs) return null;
  return fault("login.kind", { host, kind: String(kind).slice(0, 20), type: String(type ?? "").slice(0, 20) });
}

function openedBy(pairs: readonly AnswerKeys[], body: Uint8Array, sender: string) {
  for (const pair of pairs) {
    const plain = pair.sealer.open(body, sender);
    if (plain) return { plain, pair };
  }
  return null;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
