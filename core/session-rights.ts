/** A session's rights as of the graph now: the user's grants, cut down to the token's scopes, what the token may publish, and roles. */
import type { PermissionGraph } from "./graph/permission-graph.ts";
import { type Role, templateOf } from "./roles.ts";
import { scopedPatterns } from "./scopes.ts";
import { type Rights, rightsOf } from "./session-permissions.ts";
import type { Subjects } from "./subjects.ts";
import type { Identity } from "./token-index.ts";

/** By the graph's own list of a user's grants, which it keeps while they stand: most logins and listings repeat. */
const known = new WeakMap<readonly string[], { root: string; rights: Rights }>();

/** @param roles the user's; only a token of scope `all` has them */
export function sessionRights(
  graph: PermissionGraph,
  subjects: Subjects,
  identity: Identity,
  roles: readonly Role[] = [],
): Rights {
  const patterns = scopedPatterns(graph, identity.user, identity.scopes);
  const templates = identity.scopes.includes("all") ? roles.map(templateOf) : [];
  if (identity.containers.length > 0 || templates.length > 0) {
    return rightsOf(subjects, patterns, identity.containers, {
      subscribe: templates.flatMap(({ subscribe }) => subscribe(subjects)),
      publish: templates.flatMap(({ publish }) => publish(subjects)),
    });
  }
  const kept = known.get(patterns);
  if (kept?.root === subjects.root) return kept.rights;
  const rights = rightsOf(subjects, patterns, []);
  known.set(patterns, { root: subjects.root, rights });
  return rights;
}
