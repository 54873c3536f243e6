/** Decides a login: accepted with which rights, or refused. It reads the request and the graph in memory, without I/O; responder.ts calls it. */
import { Fault, fault } from "../../core/errors.ts";
import type { PermissionGraph } from "../../core/graph/permission-graph.ts";
import type { Revision } from "../../core/revision.ts";
import type { RoleIndex } from "../../core/session/roles.ts";
import { formatSessionName, parseSessionId, type SessionName } from "../../core/session/session.ts";
import { permissionsJson } from "../../core/session/session-permissions.ts";
import { sessionRights } from "../../core/session/session-rights.ts";
import type { Subjects } from "../../core/subjects.ts";
import type { Voucher } from "../../core/token/aliases.ts";
import { type ParsedToken, parseToken } from "../../core/token/token.ts";
import type { Identity, TokenIndex } from "../../core/token/token-index.ts";
import { wellKnown } from "../../core/uuid.ts";
import { AHEAD_MS } from "../sessions/endings.ts";
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
  /** Milliseconds of graph age above which every login is refused. */
  stalenessRefuse: number;
  grantsMax: number;
};

export type Admitted = { session: SessionName; identity: Identity; admission: Admission; grants: number };

/** What Arvados' API says about tokens that the graph does not know (token-lookup.ts). */
export type Lookup = {
  concerns(token: ParsedToken, refusal: Fault): boolean;
  known(token: string): Voucher | "unknown" | Fault | null;
};

/** A session ends up to this share of its life early, so that sessions that began together do not end together. */
const TTL_JITTER = 0.1;

/**
 * Returns null if only Arvados' API can tell: the caller asks it and calls again.
 * @param lookup null = the API is never asked
 * @param now UTC milliseconds
 * @param random 0 <= random < 1
 * @param refusal why a known user is refused now (bounds, pauses); called before grants are computed
 */
export function authorize(
  request: Pick<CalloutRequest, "token" | "user">,
  view: GraphView,
  lookup: Lookup | null,
  options: AuthorizerOptions,
  now: number,
  random: number,
  refusal: (who: Identity, sid: string) => Fault | null = () => null,
): Admitted | Fault | null {
  const token = parseToken(request.token);
  if (!token) return fault("token.malformed");
  const sid = parseSessionId(request.user);
  if (sid === null) return fault("session.id");
  const age = view.age(now);
  if (age > options.stalenessRefuse) {
    const known = Number.isFinite(age) ? Math.round(age / 1000) : "unknown";
    return fault("graph.stale", { age: known, limit: options.stalenessRefuse / 1000 });
  }
  const identity = identify(token, request.token, view, lookup, now);
  if (identity === null || identity instanceof Fault) return identity;
  // All anonymous users have the same token: only the session id separates their replies.
  if (sid === "_" && identity.token === wellKnown(options.clusterId).anonymousToken) return fault("session.id");
  const refused = refusal(identity, sid);
  if (refused) return refused;

  const roles = view.roles.of(identity.user);
  const rights = sessionRights(view.graph, options.subjects, identity, roles, options.grantsMax);
  const count = rights.over ?? rights.subscribe.length;
  if (count > options.grantsMax) {
    return fault("grants.too_many", { user: identity.user, count, limit: options.grantsMax });
  }
  const session: SessionName = {
    user: identity.user,
    key: { sessionToken: identity.sessionToken, sid },
    revision: view.revision,
    hash: rights.hash,
    proof: view.tokens.proofOf(token),
  };
  const life = options.sessionTtl * (1 - TTL_JITTER * random);
  const ends = Math.min(now + life, identity.expiresAt ?? Number.POSITIVE_INFINITY);
  // nats-server counts whole seconds, rounded down, so it ends a session up to a second after this.
  const expires = Math.floor(ends / 1000) - 1;
  // A session without a full second left would end at once, and the client would loop.
  if (expires * 1000 <= now + AHEAD_MS) return fault("token.expired", { token: identity.token });
  return {
    session,
    identity,
    grants: count,
    admission: {
      name: formatSessionName(session),
      permissions: permissionsJson(options.subjects, session.key, rights),
      expires,
    },
  };
}

function identify(
  token: ParsedToken,
  text: string,
  { tokens, graph }: GraphView,
  lookup: Lookup | null,
  now: number,
): Identity | Fault | null {
  const identity = tokens.identify(token, now);
  if (!(identity instanceof Fault) || !lookup?.concerns(token, identity)) return identity;
  const answer = lookup.known(text);
  if (answer === "unknown") return identity;
  if (answer === null || answer instanceof Fault) return answer;
  if (token.form === "v2" && token.uuid !== answer.token) return identity;
  if (!graph.isActive(answer.user)) return fault("user.inactive", { user: answer.user, token: answer.token });
  return tokens.identifyVouched(token, answer, now);
}
