/** Who may come in, and with which rights: from the request and the graph in memory, without I/O. */
import { Fault, fault } from "../core/errors.ts";
import type { PermissionGraph } from "../core/graph/permission-graph.ts";
import type { Revision } from "../core/revision.ts";
import type { RoleIndex } from "../core/roles.ts";
import { formatSessionName, type SessionName, sessionId } from "../core/session.ts";
import { permissionsJson } from "../core/session-permissions.ts";
import { sessionRights } from "../core/session-rights.ts";
import type { Subjects } from "../core/subjects.ts";
import { parseToken } from "../core/token.ts";
import type { TokenIndex } from "../core/token-index.ts";
import { wellKnown } from "../core/uuid.ts";
import type { Admission } from "./callout-answer.ts";
import type { CalloutRequest } from "./callout-request.ts";

export type GraphView = {
  graph: PermissionGraph;
  tokens: TokenIndex;
  roles: RoleIndex;
  revision: Revision;
  /** Milliseconds since the graph was last known to be complete. */
  age(now: number): number;
};

export type AuthorizerOptions = {
  clusterId: string;
  subjects: Subjects;
  /** Milliseconds. */
  sessionTtl: number;
  /** Milliseconds of graph age beyond which nobody is let in. */
  stalenessRefuse: number;
  grantsMax: number;
};

/** `token` = the stored token's uuid. */
export type Admitted = { session: SessionName; token: string; admission: Admission; grants: number };

/** Sessions end up to this part of their time early, so that those made together do not end together. */
const TTL_JITTER = 0.1;
/** nats-server ends a session that expires now at once; a margin keeps the client from looping. */
const MIN_LIFE_S = 1;

/**
 * @param now UTC milliseconds
 * @param random 0 <= random < 1
 */
export function authorize(
  request: Pick<CalloutRequest, "token" | "user">,
  view: GraphView,
  options: AuthorizerOptions,
  now: number,
  random: number,
): Admitted | Fault {
  const token = parseToken(request.token);
  if (!token) return fault("token.malformed");
  const sid = sessionId(request.user);
  if (sid === null) return fault("session.id");
  const age = view.age(now);
  if (age > options.stalenessRefuse) {
    const known = Number.isFinite(age) ? Math.round(age / 1000) : "unknown";
    return fault("graph.stale", { age: known, limit: options.stalenessRefuse / 1000 });
  }
  const identity = view.tokens.identify(token, now);
  if (identity instanceof Fault) return identity;
  // Everybody who is anonymous has the same token: only the session id keeps one's replies from the other.
  if (sid === "_" && identity.token === wellKnown(options.clusterId).anonymousToken) return fault("session.id");

  const rights = sessionRights(view.graph, options.subjects, identity, view.roles.of(identity.user));
  const count = rights.subscribe.length;
  if (count > options.grantsMax) {
    return fault("grants.too_many", { user: identity.user, count, limit: options.grantsMax });
  }
  const session: SessionName = {
    user: identity.user,
    key: { token: identity.sessionToken, sid },
    revision: view.revision,
    hash: rights.hash,
  };
  const life = options.sessionTtl * (1 - TTL_JITTER * random);
  const ends = Math.min(now + life, identity.expiresAt ?? Number.POSITIVE_INFINITY);
  const expires = Math.max(Math.floor(ends / 1000), Math.floor(now / 1000) + MIN_LIFE_S);
  return {
    session,
    token: identity.token,
    grants: count,
    admission: {
      name: formatSessionName(session),
      permissions: permissionsJson(options.subjects, session.key, rights),
      expires,
    },
  };
}
