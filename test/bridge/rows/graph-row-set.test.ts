import assert from "node:assert/strict";
import type { RowChange } from "../../../bridge/postgres/row.ts";
import { GraphRowSet } from "../../../bridge/rows/graph-row-set.ts";
import type { GraphChange } from "../../../core/rows.ts";
import { saltedSecret, sha256 } from "../../../core/token/token.ts";

const ALICE = "zzzzz-tpzed-aliceaaaaaaaaaa";
const PROJECT = "zzzzz-j7d0g-projectpppppppp";
const COLLECTION = "zzzzz-4zz18-collectionccccc";
const LINK = "zzzzz-o0j2j-linkllllllllll0";
const OTHER_LINK = "zzzzz-o0j2j-linkllllllllll1";
const TOKEN = "zzzzz-gj3su-tokentttttttttt";

function insert(table: RowChange["table"], row: Record<string, unknown>): RowChange {
  return { table, op: "insert", id: Number(row.id), row };
}
function update(table: RowChange["table"], row: Record<string, unknown>): RowChange {
  return { table, op: "update", id: Number(row.id), row };
}
function remove(table: RowChange["table"], id: number): RowChange {
  return { table, op: "delete", id, row: null };
}

const alice = insert("users", { id: "1", uuid: ALICE, owner_uuid: "root", is_admin: null, is_active: true });
const shareOf = (head: string, id = "5", uuid = LINK) =>
  insert("links", { id, uuid, link_class: "permission", name: "can_read", tail_uuid: ALICE, head_uuid: head });

const shortOf = (changes: readonly GraphChange[]) =>
  changes.map(({ kind, uuid, row }) => `${kind} ${uuid} ${row ? "set" : "gone"}`);

describe("the rows of GRAPH", () => {
  it("find a deleted row by its number, the only value of a delete", () => {
    const state = new GraphRowSet("zzzzz");
    state.apply([alice, shareOf(PROJECT)]);
    const replaced = state.row("link", LINK);
    assert.deepEqual(state.apply([remove("links", 5)]), [{ kind: "link", uuid: LINK, row: null, replaced }]);
    assert.deepEqual(state.apply([remove("links", 5)]), [], "a second delete says nothing new");
  });

  it("return each changed row once, with its value after and before the commit", () => {
    const state = new GraphRowSet("zzzzz");
    const active = (is_active: boolean) => update("users", { ...alice.row, is_active });
    const [first, ...others] = state.apply([alice, active(false)]);
    assert.deepEqual(others, []);
    assert.equal(first?.kind === "user" && first.row?.is_active, false);
    assert.equal(first?.replaced, null);
    const [second] = state.apply([active(true), active(false), update("users", { ...alice.row, is_admin: true })]);
    assert.deepEqual(second?.replaced, first?.row);
  });

  it("do not change by updates of other columns", () => {
    const state = new GraphRowSet("zzzzz");
    state.apply([alice]);
    assert.deepEqual(state.apply([update("users", alice.row ?? {})]), []);
  });

  it("hold permission links only, and drop a link that changes its class", () => {
    const state = new GraphRowSet("zzzzz");
    const tag = insert("links", { ...shareOf(PROJECT).row, link_class: "tag" });
    assert.deepEqual(state.apply([tag]), []);
    state.apply([shareOf(PROJECT)]);
    const replaced = state.row("link", LINK);
    assert.deepEqual(state.apply([update("links", tag.row ?? {})]), [
      { kind: "link", uuid: LINK, row: null, replaced },
    ]);
  });

  it("hold no secret: a token has only hashes", () => {
    const state = new GraphRowSet("zzzzz");
    const token = { id: "3", uuid: TOKEN, api_token: "topsecret", user_id: "1", scopes: '["all"]', expires_at: null };
    const changes = state.apply([alice, insert("api_client_authorizations", token)]);
    const said = JSON.stringify(changes);
    assert.ok(!said.includes("topsecret"));
    assert.ok(said.includes(sha256("topsecret")) && said.includes(sha256(saltedSecret("topsecret", "zzzzz"))));
  });

  it("drop the row of a uuid that an update replaces", () => {
    const state = new GraphRowSet("zzzzz");
    const token = { id: "3", uuid: TOKEN, api_token: "s", user_id: "1", scopes: '["all"]' };
    state.apply([alice, insert("api_client_authorizations", token)]);
    const other = "zzzzz-gj3su-othertokenooooo";
    const changes = state.apply([update("api_client_authorizations", { ...token, uuid: other })]);
    assert.deepEqual(shortOf(changes), [`token ${TOKEN} gone`, `token ${other} set`]);
    assert.deepEqual(shortOf(state.apply([remove("api_client_authorizations", 3)])), [`token ${other} gone`]);
  });

  it("keep a long value that an update leaves out because it is unchanged", () => {
    const state = new GraphRowSet("zzzzz");
    const token = { id: "3", uuid: TOKEN, api_token: "topsecret", user_id: "1", scopes: '["GET /"]', expires_at: null };
    state.apply([alice, insert("api_client_authorizations", token)]);
    state.apply([
      update("api_client_authorizations", { ...token, scopes: undefined, expires_at: "2026-01-01 00:00:00" }),
    ]);
    assert.deepEqual(state.row("token", TOKEN)?.scopes, ["GET /"]);
    assert.equal(state.row("token", TOKEN)?.expires_at, Date.UTC(2026, 0, 1));
  });

  it("keep the valid scopes of a token, and none of a megabyte of them", () => {
    const state = new GraphRowSet("zzzzz");
    state.apply([alice]);
    const object = (n: number) => `GET /arvados/v1/collections/zzzzz-4zz18-${String(n).padStart(15, "0")}`;
    const token = { id: "3", uuid: TOKEN, api_token: "s", user_id: "1", expires_at: null };
    const scopesAfter = (scopes: string | undefined) => {
      state.apply([update("api_client_authorizations", { ...token, scopes })]);
      const row = state.row("token", TOKEN);
      return [row?.scopes, row?.scopes_over];
    };
    assert.deepEqual(scopesAfter(JSON.stringify(["POST /x", object(1), object(1)])), [[object(1)], undefined]);
    const megabyte = JSON.stringify(Array.from({ length: 20_000 }, (_, n) => object(n)));
    assert.deepEqual(scopesAfter(megabyte), [[], true]);
    assert.deepEqual(scopesAfter(undefined), [[], true], "an update that does not touch them");
    assert.ok(JSON.stringify(state.row("token", TOKEN)).length < 1_000);
    assert.deepEqual(scopesAfter('["all"]'), [["all"], undefined]);
  });

  it("grant nothing to a token with unreadable scopes", () => {
    const state = new GraphRowSet("zzzzz");
    const token = { id: "3", uuid: TOKEN, api_token: "s", user_id: "1", scopes: "---\n- all\n" };
    state.apply([alice, insert("api_client_authorizations", token)]);
    assert.deepEqual(state.row("token", TOKEN)?.scopes, []);
  });

  describe("of directly shared objects", () => {
    const collection = { id: "9", uuid: COLLECTION, owner_uuid: PROJECT };

    it("look the owner up once", () => {
      const state = new GraphRowSet("zzzzz");
      state.apply([alice, shareOf(COLLECTION)]);
      assert.deepEqual(state.drainUnknownHeads(), [COLLECTION]);
      assert.deepEqual(state.drainUnknownHeads(), []);
    });

    it("need no lookup where the object is in the same commit", () => {
      const state = new GraphRowSet("zzzzz");
      // The link first, so that the collection's row finds it awaited.
      state.apply([alice, shareOf(COLLECTION), insert("collections", collection)]);
      assert.deepEqual(state.drainUnknownHeads(), []);
      assert.equal(state.row("owner", COLLECTION)?.owner_uuid, PROJECT);
    });

    it("follow a move, and forget the owner when the object or its last link is deleted", () => {
      const state = new GraphRowSet("zzzzz");
      state.apply([
        alice,
        shareOf(COLLECTION),
        shareOf(COLLECTION, "6", OTHER_LINK),
        insert("collections", collection),
      ]);
      const moved = state.apply([update("collections", { ...collection, owner_uuid: ALICE })]);
      const [before, after] = [PROJECT, ALICE].map((owner_uuid) => ({ id: 9, uuid: COLLECTION, owner_uuid }));
      assert.deepEqual(moved, [{ kind: "owner", uuid: COLLECTION, row: after, replaced: before }]);
      assert.deepEqual(shortOf(state.apply([remove("links", 5)])), [`link ${LINK} gone`]);
      assert.deepEqual(shortOf(state.apply([remove("links", 6)])), [
        `link ${OTHER_LINK} gone`,
        `owner ${COLLECTION} gone`,
      ]);
      assert.deepEqual(state.apply([update("collections", { ...collection, owner_uuid: PROJECT })]), []);
    });

    it("loses it when it is deleted, also where the table has no `id`, and an earlier version wrote a number for it", () => {
      const uuid = "zzzzz-oss07-credentialccccc";
      const remembered = new GraphRowSet("zzzzz");
      remembered.load([{ kind: "owner", uuid, row: { id: 7, uuid, owner_uuid: "root" } }]);
      const looked = new GraphRowSet("zzzzz");
      for (const state of [remembered, looked]) {
        state.apply([shareOf(uuid)]);
        if (state === looked) state.setOwner("credentials", { id: uuid, uuid, owner_uuid: "root" });
        const changes = state.apply([{ table: "credentials", op: "delete", id: uuid, row: null }]);
        assert.deepEqual(shortOf(changes), [`owner ${uuid} gone`]);
      }
    });

    it("loses it when it is deleted", () => {
      const state = new GraphRowSet("zzzzz");
      state.apply([alice, shareOf(COLLECTION), insert("collections", collection)]);
      assert.deepEqual(shortOf(state.apply([remove("collections", 9)])), [`owner ${COLLECTION} gone`]);
    });
  });
});
