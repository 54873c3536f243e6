/** A session's rights by the current graph: the user's grants reduced to the token's scopes, what the token may publish, and roles. */
import type { PermissionGraph } from "../graph/permission-graph.ts";
import type { Subjects } from "../subjects.ts";
import { readsEverything, scopedWithin } from "../token/scopes.ts";
import type { Identity } from "../token/token-index.ts";
import { type Role, templateOf } from "./roles.ts";
import { compileSessionRights, type SessionRights } from "./session-permissions.ts";

/** By the list of patterns, which is the same object until the grants change: most logins and listings repeat. */
const known = new WeakMap<readonly string[], { root: string; rights: SessionRights }>();

/** As many as the setting `session.grantsMax` admits. */
const ANY = 100_000;

/**
 * @param roles the user's; only a token of scope `all` has them
 * @param most subjects that a session may have; if there are more it gets none, and `over` says how many were counted
 */
export function sessionRights(
  graph: PermissionGraph,
  subjects: Subjects,
  identity: Identity,
  roles: readonly Role[] = [],
  most = ANY,
): SessionRights {
  const { user, scopes, containers } = identity;
  // Every session has one more: `@resync`.
  const patterns = scopedWithin(graph, user, scopes, most - 1);
  if (patterns === null) {
    const over = readsEverything(scopes) ? graph.grants(user).patterns.length + 1 : most + 1;
    return { subscribe: [], publish: [], hash: "over", over };
  }
  const templates = scopes.includes("all") ? roles.map(templateOf) : [];
  if (containers.length > 0 || templates.length > 0) {
    return compileSessionRights(subjects, patterns, containers, {
      subscribe: templates.flatMap(({ subscribe }) => subscribe(subjects)),
      publish: templates.flatMap(({ publish }) => publish(subjects)),
    });
  }
  const kept = known.get(patterns);
  if (kept?.root === subjects.root) return kept.rights;
  const rights = compileSessionRights(subjects, patterns, []);
  known.set(patterns, { root: subjects.root, rights });
  return rights;
}
