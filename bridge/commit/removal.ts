/**
 * What a commit takes away, so that records wait behind it until no session has it any more: rights of the graph, and what shows in
 * nobody's grants: a token, a user's being active, a container that lives, a role that the settings give (which ones is the callout's to
 * know: here every role group may give one). Pure.
 */
import type { Effect } from "../../core/graph-types.ts";
import { type ContainerRow, isAlive, type LinkRow, type Replacement, type UserRow } from "../../core/rows.ts";
import { isRoleGroup } from "../../core/session/roles.ts";

export function removesRights({ shrank, outdated: stale }: Effect): boolean {
  return shrank.size > 0 || stale.size > 0;
}

/** @param isRole of a group's uuid, after the commit: may the settings give something to its members? */
export function endsSessions(change: Replacement, isRole: (group: string) => boolean): boolean {
  // What is new takes nothing away.
  if (change.replaced === null) return false;
  switch (change.kind) {
    case "token":
      return true;
    case "user":
      return !goesOn(change.replaced, change.row);
    case "container":
      return isAlive(change.replaced) && !servesOn(change.replaced, change.row);
    case "group":
      return isRoleGroup(change.replaced) && !isRoleGroup(change.row);
    case "link":
      return isRole(change.replaced.head_uuid) && !bindsOn(change.replaced, change.row);
    case "owner":
    case "cr":
      return false;
  }
}

function goesOn(before: UserRow, after: UserRow | null): boolean {
  if (after === null || after.redirect_to_user_uuid !== before.redirect_to_user_uuid) return false;
  return after.is_active || !before.is_active;
}

/** Are the tokens that came with it as good as before? */
function servesOn(before: ContainerRow, after: ContainerRow | null): boolean {
  if (after === null || !isAlive(after)) return false;
  return after.auth_uuid === before.auth_uuid && after.runtime_token_sha256 === before.runtime_token_sha256;
}

function bindsOn(before: LinkRow, after: LinkRow | null): boolean {
  return after?.tail_uuid === before.tail_uuid && after.head_uuid === before.head_uuid;
}
