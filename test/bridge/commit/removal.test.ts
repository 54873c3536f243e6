import assert from "node:assert/strict";
import fc from "fast-check";
import { endsSessions } from "../../../bridge/commit/removal.ts";
import type { ContainerRow, GraphRows, PermissionChange, Replacement, UserRow } from "../../../core/rows.ts";
import { isRoleGroup, RoleIndex, type RoleTable } from "../../../core/session/roles.ts";
import { deltas, GROUPS, rows, USERS } from "../../core/graph/universe.ts";

const ROLE = "zzzzz-j7d0g-00000000000role";
const ALICE = "zzzzz-tpzed-0000000000alice";

/** The bridge's rows, the change of a commit, and whether it is a removal. */
class Rows {
  readonly #rows = new Map<string, PermissionChange>();

  apply(changes: readonly PermissionChange[]): Replacement[] {
    const before = new Map<string, PermissionChange | undefined>();
    for (const change of changes) {
      const key = `${change.kind}:${change.uuid}`;
      if (!before.has(key)) before.set(key, this.#rows.get(key));
      this.#rows.set(key, change);
    }
    return [...before].map(
      ([key, old]) => ({ ...this.#rows.get(key), replaced: old?.row ?? null }) as unknown as Replacement,
    );
  }

  isRole(group: string): boolean {
    return isRoleGroup((this.#rows.get(`group:${group}`)?.row ?? null) as GraphRows["group"] | null);
  }
}

/** Is there a change that removes a role and that the bridge does not notice? Each group and user may give one. */
function missesOne(isRole: (rows: Rows, group: string) => boolean): boolean {
  const tables = [...GROUPS, ...USERS].map((uuid): RoleTable => new Map([[uuid, ["auditor"]]]));
  const { failed } = fc.check(
    fc.property(rows, deltas, (all, commits) => {
      const bridge = new Rows();
      bridge.apply(all);
      const indices = tables.map((table) => new RoleIndex(table));
      for (const index of indices) index.apply(all);
      for (const commit of commits) {
        const had = indices.map((index) => USERS.filter((user) => index.of(user).length > 0));
        for (const index of indices) index.apply(commit);
        const isLost = indices.some((index, i) => had[i]?.some((user) => index.of(user).length === 0));
        const isNoticed = bridge.apply(commit).some((change) => endsSessions(change, (group) => isRole(bridge, group)));
        if (isLost && !isNoticed) return false;
      }
      return true;
    }),
    { numRuns: 400 },
  );
  return failed;
}

const user: UserRow = {
  id: 1,
  uuid: ALICE,
  owner_uuid: "",
  is_admin: false,
  is_active: true,
  redirect_to_user_uuid: null,
};
const container: ContainerRow = {
  id: 1,
  uuid: "zzzzz-dz642-000000container",
  state: "Running",
  auth_uuid: "zzzzz-gj3su-000000000000000",
  runtime_token_sha256: null,
};
const group = { id: 1, uuid: ROLE, owner_uuid: "", group_class: "role", trash_at: null, frozen_by_uuid: null };
const link = { id: 1, uuid: "zzzzz-o0j2j-000000000000000", tail_uuid: ALICE, head_uuid: ROLE, name: "can_read" };

function ends<K extends keyof GraphRows>(kind: K, replaced: GraphRows[K] | null, row: GraphRows[K] | null): boolean {
  return endsSessions({ kind, uuid: "", row, replaced } as unknown as Replacement, (uuid) => uuid === ROLE);
}

describe("a removal", function () {
  this.timeout(60_000);

  it("is the loss of any role, whatever the settings give to its members", () => {
    assert.ok(!missesOne((all, uuid) => all.isRole(uuid)));
    assert.ok(
      missesOne(() => false),
      "control: links to role groups left out",
    );
  });

  it("is not a revoked share of a project, which the graph shows", () => {
    assert.ok(!ends("link", { ...link, head_uuid: "zzzzz-j7d0g-000000000000prj" }, null));
  });

  it("is the end of a member's link to a role group, and not a change of its level", () => {
    assert.ok(ends("link", link, null));
    assert.ok(ends("link", link, { ...link, tail_uuid: "zzzzz-tpzed-000000000000bob" }));
    assert.ok(!ends("link", link, { ...link, name: "can_manage" }));
    assert.ok(!ends("link", null, link));
  });

  it("is a role group that goes to the trash, or becomes something else", () => {
    assert.ok(ends("group", group, { ...group, trash_at: 1 }));
    assert.ok(ends("group", group, null));
    assert.ok(!ends("group", group, { ...group, frozen_by_uuid: ALICE }));
  });

  it("is a user who is deleted, deactivated or merged, and not another change of a user", () => {
    assert.ok(ends("user", user, null));
    assert.ok(ends("user", user, { ...user, is_active: false }));
    assert.ok(ends("user", user, { ...user, redirect_to_user_uuid: "zzzzz-tpzed-000000000000bob" }));
    assert.ok(ends("user", { ...user, is_active: false }, null), "their token goes with them");
    assert.ok(!ends("user", user, { ...user, is_admin: true }));
    assert.ok(!ends("user", { ...user, is_active: false }, user));
  });

  it("is a container that ends or gets another token", () => {
    assert.ok(ends("container", container, { ...container, state: "Complete" }));
    assert.ok(ends("container", container, null));
    assert.ok(ends("container", container, { ...container, auth_uuid: null }));
    assert.ok(!ends("container", { ...container, state: "Locked" }, container));
    assert.ok(!ends("container", { ...container, state: "Queued" }, { ...container, state: "Cancelled" }));
  });
});
