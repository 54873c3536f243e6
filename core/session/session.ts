/**
 * A session as nats-server knows it: the user JWT's `name`, which CONNECT events and CONNZ repeat, is
 * `user|session token|sid|revision|hash.proof`. So the servers themselves are the registry of sessions.
 */
import { formatRevision, parseRevision, type Revision } from "../revision.ts";
import type { SessionKey } from "../subjects.ts";
import { suffixedParts } from "../token/token.ts";

export type SessionName = {
  user: string;
  key: SessionKey;
  revision: Revision;
  hash: string;
  /** The secret of the login (secret-proof.ts). Missing in names by an earlier version, which reads hash and proof as one hash. */
  proof?: string;
};

const SESSION_ID = /^[A-Za-z0-9]{16,32}$/;

/** The session id that a client sent as CONNECT `user`: `_` if it sent none, null if it is not acceptable. */
export function parseSessionId(user: string | undefined): string | null {
  if (user === undefined || user === "") return "_";
  return SESSION_ID.test(user) ? user : null;
}

export function formatSessionName({ user, key, revision, hash, proof }: SessionName): string {
  const shown = proof === undefined ? hash : `${hash}.${proof}`;
  return [user, key.sessionToken, key.sid, formatRevision(revision), shown].join("|");
}

/** Null for a name that is not one of ours. */
export function parseSessionName(name: string): SessionName | null {
  const [user, token, sid, revisionText, shown, ...rest] = name.split("|");
  const revision = parseRevision(revisionText ?? "");
  const [hash, proof] = (shown ?? "").split(".");
  if (!user || !token || !sid || !revision || !hash || rest.length > 0) return null;
  return { user, key: { sessionToken: token, sid }, revision, hash, ...(proof === undefined ? {} : { proof }) };
}

/** What a session can be found by: its user, and the token (and container) its subjects are named for. */
export function sessionLookupKeys({ user, key }: Pick<SessionName, "user" | "key">): string[] {
  const suffixed = suffixedParts(key.sessionToken);
  return suffixed ? [user, suffixed.token, suffixed.container] : [user, key.sessionToken];
}
