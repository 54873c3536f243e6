import assert from "node:assert/strict";
import { PermissionGraph } from "../../../core/graph/permission-graph.ts";
import type { GraphChange } from "../../../core/rows.ts";
import { parseRoles, RoleIndex, type RoleTable } from "../../../core/session/roles.ts";
import { sessionRights } from "../../../core/session/session-rights.ts";
import { subjectsOf } from "../../../core/subjects.ts";

const GROUP = "zzzzz-j7d0g-00000000000role";
const INNER = "zzzzz-j7d0g-000000000inner0";
const ALICE = "zzzzz-tpzed-0000000000alice";
const BOB = "zzzzz-tpzed-000000000000bob";

const table = parseRoles(`${GROUP}=dispatch ${BOB}=auditor ${GROUP}=syslog-writer`) as RoleTable;
const link = (n: number, tail: string, head: string): GraphChange => {
  const uuid = `zzzzz-o0j2j-00000000000000${n}`;
  return { kind: "link", uuid, row: { id: n, uuid, tail_uuid: tail, head_uuid: head, name: "can_read" } };
};
const gone = (change: GraphChange) => ({ ...change, row: null }) as GraphChange;
const group = (uuid: string, group_class = "role", trash_at: number | null = null): GraphChange => ({
  kind: "group",
  uuid,
  row: { id: 1, uuid, owner_uuid: "", group_class, trash_at, frozen_by_uuid: null },
});
const user = (uuid: string, is_active: boolean): GraphChange => ({
  kind: "user",
  uuid,
  row: { id: 1, uuid, owner_uuid: "", is_admin: false, is_active, redirect_to_user_uuid: null },
});

describe("roles by groups", () => {
  it("begin with a link to the group, also through another group, and end with it", () => {
    const roles = new RoleIndex(table);
    assert.deepEqual(
      roles.apply([group(GROUP), group(INNER), user(ALICE, true), user(BOB, true), link(1, ALICE, INNER)]),
      new Set([BOB]),
      "bob is named himself",
    );
    assert.deepEqual(roles.of(ALICE), []);
    assert.deepEqual(roles.apply([link(2, INNER, GROUP)]), new Set([ALICE]));
    assert.deepEqual(roles.of(ALICE), ["dispatch", "syslog-writer"]);
    assert.deepEqual(roles.apply([gone(link(1, ALICE, INNER))]), new Set([ALICE]));
    assert.deepEqual(roles.of(ALICE), []);
  });

  it("are for active users", () => {
    const roles = new RoleIndex(table);
    roles.apply([group(GROUP), user(BOB, true), link(1, ALICE, GROUP)]);
    assert.deepEqual(roles.of(BOB), ["auditor"]);
    assert.deepEqual(roles.apply([user(BOB, false)]), new Set([BOB]));
    assert.deepEqual(roles.of(BOB), []);
  });

  it("do not follow a link the other way", () => {
    const roles = new RoleIndex(table);
    roles.apply([group(GROUP), user(ALICE, true), link(1, GROUP, ALICE)]);
    assert.deepEqual(roles.of(ALICE), []);
  });

  it("come only through role groups that are not in the trash", () => {
    const roles = new RoleIndex(table);
    roles.apply([group(GROUP), group(INNER), user(ALICE, true), link(1, ALICE, INNER), link(2, INNER, GROUP)]);
    for (const none of [group(INNER, "project"), group(INNER, "role", 1), gone(group(INNER)), group(GROUP, "filter")]) {
      assert.deepEqual(roles.apply([none]), new Set([ALICE]));
      assert.deepEqual(roles.of(ALICE), []);
      assert.deepEqual(roles.apply([group(none.uuid)]), new Set([ALICE]));
    }
  });

  it("give subjects to tokens of scope all, and change the hash by which sessions are compared", () => {
    const graph = new PermissionGraph({ clusterId: "zzzzz", roleGroupsVisibleToAll: true, audienceMin: 20 });
    const subjects = subjectsOf("zzzzz");
    const identity = {
      user: BOB,
      token: "t",
      sessionToken: "t",
      scopes: ["all"],
      expiresAt: null,
      containers: [],
      vouched: false,
    };
    const plain = sessionRights(graph, subjects, identity);
    const auditor = sessionRights(graph, subjects, identity, ["auditor", "dispatch"]);
    assert.ok(
      auditor.subscribe.includes("arvados.zzzzz.live.>") && auditor.subscribe.includes("arvados.zzzzz.queue.>"),
    );
    assert.deepEqual(auditor.publish, ["arvados.zzzzz.log.>"]);
    assert.notEqual(auditor.hash, plain.hash);
    const scoped = sessionRights(graph, subjects, { ...identity, scopes: ["GET /"] }, ["auditor"]);
    assert.equal(scoped.hash, plain.hash);
  });

  it("let a service write lines as itself on its own host, if the role names it, at the known levels", () => {
    const graph = new PermissionGraph({ clusterId: "zzzzz", roleGroupsVisibleToAll: true, audienceMin: 20 });
    const roles = parseRoles(`${BOB}=syslog-writer:keepstore.host1`) as RoleTable;
    const identity = {
      user: BOB,
      token: "t",
      sessionToken: "t",
      scopes: ["all"],
      expiresAt: null,
      containers: [],
      vouched: false,
    };
    const { publish } = sessionRights(graph, subjectsOf("zzzzz"), identity, roles.get(BOB));
    assert.deepEqual(
      publish,
      ["trace", "debug", "info", "warn", "error", "fatal"].map((level) => `arvados.zzzzz.sys.keepstore.host1.${level}`),
    );
    for (const place of ["", "a", "a.b.c", "*.b", "a.>", "a.", ".b"])
      assert.equal(typeof parseRoles(`${BOB}=syslog-writer:${place}`), "string", place);
    assert.equal(typeof parseRoles(`${BOB}=dispatch:a.b`), "string");
  });

  it("are written as uuid=template", () => {
    assert.equal((parseRoles("") as RoleTable).size, 0);
    for (const wrong of ["x=dispatch", `${GROUP}=root`, GROUP, `${GROUP}=toString`, `${GROUP}=dispatch=x`]) {
      assert.equal(typeof parseRoles(wrong), "string", wrong);
    }
  });
});
