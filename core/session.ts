/**
 * A session as nats-server knows it: the user JWT's `name`, which CONNECT events and CONNZ repeat, is
 * `user|token|sid|revision|grants hash`. So the servers themselves are the registry of who holds what.
 */
import { formatRevision, parseRevision, type Revision } from "./revision.ts";
import type { SessionKey } from "./subjects.ts";
import { suffixedParts } from "./token.ts";

export type SessionName = { user: string; key: SessionKey; revision: Revision; hash: string };

const SESSION_ID = /^[A-Za-z0-9]{16,32}$/;

/** The session id a client sent as CONNECT `user`: `_` where it sent none, null where it is not acceptable. */
export function sessionId(user: string | undefined): string | null {
  if (user === undefined || user === "") return "_";
  return SESSION_ID.test(user) ? user : null;
}

export function formatSessionName({ user, key, revision, hash }: SessionName): string {
  return [user, key.token, key.sid, formatRevision(revision), hash].join("|");
}

/** Null for a name that is not one of ours. */
export function parseSessionName(name: string): SessionName | null {
  const [user, token, sid, revisionText, hash, ...rest] = name.split("|");
  const revision = parseRevision(revisionText ?? "");
  if (!user || !token || !sid || !revision || !hash || rest.length > 0) return null;
  return { user, key: { token, sid }, revision, hash };
}

/** What a session can be found by: its user, and the token (and container) its subjects are named for. */
export function sessionMarks({ user, key }: Pick<SessionName, "user" | "key">): string[] {
  const suffixed = suffixedParts(key.token);
  return suffixed ? [user, suffixed.token, suffixed.container] : [user, key.token];
}
