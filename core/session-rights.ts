/** A session's rights as of the graph now: the user's grants, cut down to the token's scopes, and what the token may publish. */
import type { PermissionGraph } from "./graph/permission-graph.ts";
import { scopedPatterns } from "./scopes.ts";
import { type Rights, rightsOf } from "./session-permissions.ts";
import type { Subjects } from "./subjects.ts";
import type { Identity } from "./token-index.ts";

export function sessionRights(graph: PermissionGraph, subjects: Subjects, identity: Identity): Rights {
  return rightsOf(subjects, scopedPatterns(graph, identity.user, identity.scopes), identity.containers);
}
