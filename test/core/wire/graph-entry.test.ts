/** What stands in GRAPH may have been written by another version: whatever it is, it costs itself, never throws and never grants. */
import assert from "node:assert/strict";
import { PermissionGraph } from "../../../core/graph/permission-graph.ts";
import { type GraphChange, type GraphKind, permissionChanges } from "../../../core/rows.ts";
import { parseRoles, RoleIndex } from "../../../core/session/roles.ts";
import { subjectsOf } from "../../../core/subjects.ts";
import { sha256 } from "../../../core/token/token.ts";
import { TokenIndex } from "../../../core/token/token-index.ts";
import { formatGraphEntry, parseCommitEntry, parseGraphEntry, readGraphEntry } from "../../../core/wire/graph-entry.ts";
import { mulberry32, pick } from "../../../dev/testing/random.ts";

const subjects = subjectsOf("zzzzz");
const UUIDS: Record<GraphKind, string> = {
  user: "zzzzz-tpzed-000000000000001",
  group: "zzzzz-j7d0g-000000000000001",
  link: "zzzzz-o0j2j-000000000000001",
  owner: "zzzzz-4zz18-000000000000001",
  cr: "zzzzz-xvhdp-000000000000001",
  token: "zzzzz-gj3su-000000000000001",
  container: "zzzzz-dz642-000000000000001",
};
const base = (kind: GraphKind) => ({ id: 1, uuid: UUIDS[kind] });
const ROWS: { [K in GraphKind]: Extract<GraphChange, { kind: K }>["row"] & object } = {
  user: {
    ...base("user"),
    owner_uuid: UUIDS.user,
    is_admin: false,
    is_active: true,
    redirect_to_user_uuid: null,
  },
  group: { ...base("group"), owner_uuid: UUIDS.user, group_class: "project", trash_at: null, frozen_by_uuid: null },
  link: { ...base("link"), tail_uuid: UUIDS.user, head_uuid: UUIDS.group, name: "can_read" },
  owner: { ...base("owner"), owner_uuid: UUIDS.group },
  cr: { ...base("cr"), owner_uuid: UUIDS.group, container_uuid: UUIDS.container },
  token: {
    ...base("token"),
    user_uuid: UUIDS.user,
    scopes: ["all"],
    expires_at: null,
    refreshes_at: null,
    secret_sha256: sha256("secret"),
    salted_sha256: sha256("salted"),
  },
  container: { ...base("container"), state: "Running", auth_uuid: UUIDS.token, runtime_token_sha256: null },
};
const KINDS = Object.keys(ROWS) as GraphKind[];
const subjectOf = (kind: GraphKind) => subjects.graph(kind, UUIDS[kind]);
const bodyOf = (kind: GraphKind, row: unknown) => JSON.stringify({ uuid: UUIDS[kind], row });

/** Values that no column of this name has. */
const ODD: unknown[] = [undefined, 7, "", "x", true, null, [], {}, [null], { a: 1 }, Number.MAX_VALUE];

describe("a message of GRAPH", () => {
  it("is the row that was written, letter by letter", () => {
    for (const kind of KINDS) {
      const change = { kind, uuid: UUIDS[kind], row: ROWS[kind] } as GraphChange;
      const entry = readGraphEntry(subjectOf(kind), formatGraphEntry(change));
      assert.deepEqual(entry, { change, unreadable: false });
      assert.equal(JSON.stringify(entry?.change.row), JSON.stringify(ROWS[kind]));
      const gone = readGraphEntry(subjectOf(kind), bodyOf(kind, null));
      assert.deepEqual(gone, { change: { ...change, row: null }, unreadable: false });
    }
    for (const other of [subjects.graphCommit, subjects.graphLeader, "x", "arvados.zzzzz.graph.user.a.b"]) {
      assert.equal(parseGraphEntry(other, "{}"), null);
    }
  });

  it("denies if it is no row: another uuid, a missing column, a column of another type, or no JSON", () => {
    for (const kind of KINDS) {
      const row: Record<string, unknown> = ROWS[kind];
      const bodies = ["", "null", "7", "{", "[]", "{}", bodyOf(kind, "x"), bodyOf(kind, []), bodyOf(kind, undefined)];
      bodies.push(JSON.stringify({ uuid: "zzzzz-tpzed-000000000000009", row }));
      bodies.push(bodyOf(kind, { ...row, uuid: "zzzzz-tpzed-000000000000009" }));
      for (const column of Object.keys(row).filter((name) => name !== "id")) {
        bodies.push(bodyOf(kind, { ...row, [column]: undefined }), bodyOf(kind, { ...row, [column]: { a: 1 } }));
        if (typeof row[column] === "string") bodies.push(bodyOf(kind, { ...row, [column]: 7 }));
      }
      for (const body of bodies) {
        const entry = readGraphEntry(subjectOf(kind), body);
        assert.ok(entry?.unreadable, `${kind} ${body}`);
        assert.equal(entry.change.uuid, UUIDS[kind], body);
        // A container that nobody knows would admit every token that names it.
        if (kind === "container") assert.equal((entry.change.row as { state: string }).state, "unreadable");
        else assert.equal(entry.change.row, null);
      }
    }
  });

  it("has a token's scopes reduced, as an older bridge did not store them", () => {
    const row = (scopes: unknown) =>
      parseGraphEntry(subjectOf("token"), bodyOf("token", { ...ROWS.token, scopes }))?.row;
    const object = (n: number) => `GET /arvados/v1/collections/zzzzz-4zz18-${String(n).padStart(15, "0")}`;
    assert.deepEqual((row(["POST /x", object(1)]) as typeof ROWS.token).scopes, [object(1)]);
    const over = row(Array.from({ length: 15_000 }, (_, n) => object(n))) as typeof ROWS.token;
    assert.deepEqual([over.scopes, over.scopes_over], [[], true]);
  });

  it("never throws when it is applied, whatever it contains, and gives no right", () => {
    const random = mulberry32(12);
    const table = parseRoles(`${UUIDS.group}=auditor`);
    assert.ok(typeof table !== "string");
    let applied = 0;
    for (let round = 0; round < 500; round++) {
      const graph = new PermissionGraph({ clusterId: "zzzzz", roleGroupsVisibleToAll: true, audienceMin: 2 });
      const tokens = new TokenIndex({ clusterId: "zzzzz", systemRootToken: "", anonymousSecret: "" });
      const roles = new RoleIndex(table);
      const good = KINDS.map((kind) => parseGraphEntry(subjectOf(kind), bodyOf(kind, ROWS[kind])) as GraphChange);
      graph.load(permissionChanges(good));
      tokens.apply(good);
      roles.apply(good);
      const before = new Set(graph.grants(UUIDS.user).patterns);
      const kind = pick(KINDS, random);
      const row = { ...ROWS[kind], [pick(Object.keys(ROWS[kind]), random)]: pick(ODD, random) };
      const entry = readGraphEntry(subjectOf(kind), bodyOf(kind, row));
      const changes = entry ? [entry.change] : [];
      graph.apply(permissionChanges(changes));
      tokens.apply(changes);
      roles.apply(changes);
      if (!entry?.unreadable) continue;
      applied++;
      const fresh = graph.grants(UUIDS.user).patterns.filter((pattern) => !before.has(pattern));
      // Without its owner's row a group is at the top: the same group, by another path.
      const isSame = (pattern: string) => pattern.startsWith("@none.") || pattern.includes(UUIDS.group);
      assert.ok(fresh.every(isSame), `${fresh} after ${JSON.stringify(changes)}`);
      if (kind === "token") assert.equal(tokens.bySessionToken(UUIDS.token, 0), null);
      if (kind === "container") assert.deepEqual(tokens.bySessionToken(UUIDS.token, 0)?.containers, []);
    }
    assert.ok(applied > 200, `${applied} rows that are none`);
  });
});

describe("the entry that ends a commit", () => {
  it("counts for its epoch, and is none without one", () => {
    const entry = { epoch: 3, lsn: "0/1", time: 7, system: { id: "1", timeline: 1 } };
    assert.deepEqual(parseCommitEntry(JSON.stringify(entry)), entry);
    assert.equal(parseCommitEntry('{"epoch":3}')?.epoch, 3);
    for (const odd of ["", "null", "{}", "[]", '{"epoch":"3"}', '{"epoch":1.5}', '{"epoch":null}']) {
      assert.equal(parseCommitEntry(odd), null, odd);
    }
  });
});
