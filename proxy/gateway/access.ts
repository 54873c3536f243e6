/** Whether a session may do a thing now, by the gateway's graph: asked again after every read, never remembered. */
import { type Fault, fault } from "../../core/errors.ts";
import type { ObjectFacts } from "../../core/graph-types.ts";
import type { Revision } from "../../core/revision.ts";
import type { SessionRights } from "../../core/session/session-permissions.ts";
import { sessionRights } from "../../core/session/session-rights.ts";
import type { SessionKey, Subjects } from "../../core/subjects.ts";
import { scopesAllowObject } from "../../core/token/scopes.ts";
import type { Identity } from "../../core/token/token-index.ts";
import type { PermissionReplica } from "../../replica/permission-replica.ts";

export type Access = {
  /** Who the session is; null once its token is void. */
  identity(key: SessionKey): Identity | null;
  rights(identity: Identity): SessionRights;
  /** Why the session may not read the object, or null where it may. */
  refusal(key: SessionKey, object: ObjectFacts): Fault | null;
  revision(): Revision;
};

export function createAccess(
  follower: PermissionReplica,
  subjects: Subjects,
  /** Milliseconds of graph age beyond which nothing is read out. */
  stalenessLimit: number,
  now: () => number,
  /** Subjects that a session may have. */
  grantsMax?: number,
): Access {
  const identity = (key: SessionKey) => follower.tokens.bySessionToken(key.sessionToken, now());
  return {
    identity,
    rights: (who) => sessionRights(follower.graph, subjects, who, follower.roles.of(who.user), grantsMax),
    revision: () => follower.revision,
    refusal(key, object) {
      const age = follower.age(now());
      if (age > stalenessLimit) {
        return fault("graph.stale", { age: Math.round(age / 1000), limit: stalenessLimit / 1000 });
      }
      const who = identity(key);
      if (!who) return fault("token.expired", { token: key.sessionToken });
      const may = scopesAllowObject(who.scopes, object) && follower.graph.check(who.user, object, now());
      return may ? null : fault("read.forbidden", { object: object.uuid });
    },
  };
}
