/**
 * Decides whether a commit is a removal, so that records wait until no session has what it removes: a right in the graph, or something that
 * shows in no grants: a token, an active user, a live container, membership in a role (only the callout knows which roles the settings use, so
 * every role group counts). Pure; `CommitHandler` calls it.
 */
import type { Effect } from "../../core/graph-types.ts";
import { type ContainerRow, isAlive, type LinkRow, type Replacement, type UserRow } from "../../core/rows.ts";
import { isRoleGroup } from "../../core/session/roles.ts";

export function removesRights({ shrank, outdated }: Effect): boolean {
  return shrank.size > 0 || outdated.size > 0;
}

/** @param isRole is the group with this uuid a role group, after the commit? */
export function endsSessions(change: Replacement, isRole: (group: string) => boolean): boolean {
  // A new row removes nothing.
  if (change.replaced === null) return false;
  switch (change.kind) {
    case "token":
      return true;
    case "user":
      return !staysUser(change.replaced, change.row);
    case "container":
      return isAlive(change.replaced) && !keepsTokens(change.replaced, change.row);
    case "group":
      return isRoleGroup(change.replaced) && !isRoleGroup(change.row);
    case "link":
      return isRole(change.replaced.head_uuid) && !keepsEnds(change.replaced, change.row);
    case "owner":
    case "cr":
      return false;
  }
}

function staysUser(before: UserRow, after: UserRow | null): boolean {
  if (after === null || after.redirect_to_user_uuid !== before.redirect_to_user_uuid) return false;
  return after.is_active || !before.is_active;
}

/** Are the container's tokens as valid as before? */
function keepsTokens(before: ContainerRow, after: ContainerRow | null): boolean {
  if (after === null || !isAlive(after)) return false;
  return after.auth_uuid === before.auth_uuid && after.runtime_token_sha256 === before.runtime_token_sha256;
}

function keepsEnds(before: LinkRow, after: LinkRow | null): boolean {
  return after?.tail_uuid === before.tail_uuid && after.head_uuid === before.head_uuid;
}
