/** A graph in which one user has one permission link, and each commit moves it to the next project. */
import type { PermissionGraph } from "../../core/graph/permission-graph.ts";
import type { GraphChange } from "../../core/rows.ts";

export const GRAPH_OPTIONS = { clusterId: "zzzzz", roleGroupsVisibleToAll: true, audienceMin: 20 };
const USER = "zzzzz-tpzed-000000000000001";
const OTHER = "zzzzz-tpzed-000000000000002";
const LINKS = 4;
const projectOf = (n: number) => `zzzzz-j7d0g-00000000000000${n}`;

const userRow = (uuid: string, id: number): GraphChange => ({
  kind: "user",
  uuid,
  row: { id, uuid, owner_uuid: uuid, is_admin: false, is_active: true, redirect_to_user_uuid: null },
});
const projectRow = (n: number): GraphChange => {
  const uuid = projectOf(n);
  const row = { id: n, uuid, owner_uuid: OTHER, group_class: "project", trash_at: null, frozen_by_uuid: null };
  return { kind: "group", uuid, row };
};
/** USER may read the project, or not. */
const linkRow = (n: number, isThere: boolean): GraphChange => {
  const uuid = `zzzzz-o0j2j-00000000000000${n}`;
  const row = { id: n, uuid, tail_uuid: USER, head_uuid: projectOf(n), name: "can_read" };
  return { kind: "link", uuid, row: isThere ? row : null };
};
const numbers = Array.from({ length: LINKS }, (_, n) => n + 1);
export const FIRST_COMMIT = [linkRow(1, true), userRow(USER, 1), userRow(OTHER, 2), ...numbers.map(projectRow)];
/** Commit `n` moves USER's only link from one project to the next. */
export const move = (n: number) => [linkRow((n % LINKS) + 1, false), linkRow(((n + 1) % LINKS) + 1, true)];

/** The projects that USER may read; after each whole commit there is one. */
export function readable(graph: PermissionGraph): number[] {
  return numbers.filter((n) => graph.check(USER, { uuid: projectOf(n), resource: "groups", owner: OTHER }, Date.now()));
}
