/** Users, sharing, trash, collections and tokens of the simulated Arvados. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { manifestOf } from "../../../dev/simulator/collections.ts";
import type { Simulator } from "../../../dev/simulator/index.ts";
import { auditTime, timestampOf } from "../../../dev/simulator/timestamps.ts";
import type { FreshDatabase } from "../../support/servers/postgres.ts";
import { simulatedArvados } from "./world.ts";

describe("the simulated Arvados", () => {
  const { start, drop, logs, onlyLog, described, one } = simulatedArvados();
  let db: FreshDatabase;
  let arvados: Simulator;
  let alice: string;
  let bob: string;

  before(async () => {
    ({ db, arvados, alice, bob } = await start());
  });

  after(drop);

  describe("users", () => {
    it("are managed by the system group, write to all users, and are seen by them", async () => {
      const { known } = arvados;
      assert.deepEqual(await linksOf(alice), [
        `${known.systemGroup} can_manage ${alice}`,
        `${alice} can_write ${known.allUsersGroup}`,
        `${known.allUsersGroup} can_read ${alice}`,
      ]);
    });

    it("have only the first of these links until they are activated", async () => {
      const { uuid } = await arvados.createUser({ username: "carol", isActive: false });
      assert.equal((await linksOf(uuid)).length, 1);
      assert.deepEqual(await described(await arvados.activateUser(uuid)), [
        "create links",
        "create links",
        "update users",
      ]);
      assert.equal((await linksOf(uuid)).length, 3);
    });

    it("lose their own links and tokens when they are deactivated, each with a log row", async () => {
      const { uuid } = await arvados.createUser({ username: "dave", isAdmin: true });
      await arvados.issueToken(uuid);
      const gone = ["delete links", "delete api_client_authorizations", "update users"];
      assert.deepEqual(await described(await arvados.deactivateUser(uuid)), gone);
      const row = await one("SELECT is_active, is_admin FROM users WHERE uuid = $1", uuid);
      assert.deepEqual(row, { is_active: false, is_admin: false });
    });

    it("become admins and cease to be, in a row about the user", async () => {
      const log = await onlyLog(await arvados.setAdmin(bob, true));
      assert.deepEqual([log.object_uuid, log.parsed.new_attributes?.is_admin], [bob, true]);
      await arvados.setAdmin(bob, false);
    });

    it("are merged in silence but for their own row", async () => {
      const { uuid } = await arvados.createUser({ username: "erin" });
      const token = await arvados.issueToken(uuid);
      const project = await arvados.createProject({ name: "E", owner: uuid });
      assert.deepEqual(await described(await arvados.mergeUser(uuid, alice)), ["update users"]);
      assert.equal((await one("SELECT owner_uuid FROM groups WHERE uuid = $1", project.uuid)).owner_uuid, alice);
      const owner = await one(
        "SELECT u.uuid FROM users u JOIN api_client_authorizations t ON t.user_id = u.id WHERE t.uuid = $1",
        token.uuid,
      );
      assert.equal(owner.uuid, alice);
    });

    async function linksOf(user: string): Promise<string[]> {
      const rows = await db.query<{ it: string }>(
        "SELECT concat_ws(' ', tail_uuid, name, head_uuid) AS it FROM links WHERE $1 IN (tail_uuid, head_uuid) ORDER BY id",
        [user],
      );
      return rows.map(({ it }) => it);
    }
  });

  describe("sharing", () => {
    let project: string;

    beforeEach(async () => {
      project = (await arvados.createProject({ name: "P", owner: alice })).uuid;
    });

    it("makes one permission link of root's, and takes it back by its uuid or by its ends", async () => {
      const link = await arvados.share(bob, project, "can_read", { by: alice });
      const log = await onlyLog(link);
      assert.deepEqual([log.owner_uuid, log.object_owner_uuid], [alice, arvados.known.rootUser]);
      assert.equal(log.parsed.new_attributes?.link_class, "permission");
      assert.deepEqual(await described(await arvados.unshare(link.uuid)), ["delete links"]);
      await arvados.share(bob, project, "can_read");
      assert.deepEqual(await described(await arvados.unshare({ tail: bob, head: project })), ["delete links"]);
      await assert.rejects(arvados.unshare({ tail: bob, head: project }), /nothing is shared/);
    });

    it("raises an existing link's level, and does nothing where that is no less", async () => {
      const first = await arvados.share(bob, project, "can_write");
      const second = await arvados.share(bob, project, "can_read");
      assert.deepEqual([second.uuid, second.logIds], [first.uuid, []]);
      const third = await arvados.share(bob, project, "can_manage");
      assert.equal(third.uuid, first.uuid);
      assert.deepEqual(await described(third), ["update links"]);
      assert.equal(
        (await onlyLog(await arvados.changeLevel(first.uuid, "can_read"))).parsed.new_attributes?.name,
        "can_read",
      );
    });

    it("goes through roles, which belong to root and are managed by their maker", async () => {
      const role = await arvados.createRole({ name: "lab", by: alice });
      assert.deepEqual(await described(role), ["create groups", "create links"]);
      await arvados.share(role.uuid, project, "can_read");
      assert.deepEqual(await described(await arvados.addToRole(bob, role.uuid)), ["create links"]);
      assert.deepEqual(await described(await arvados.removeFromRole(bob, role.uuid)), ["delete links"]);
      // A trashed role loses what it was given, and keeps its members.
      assert.deepEqual(await described(await arvados.trash(role.uuid)), ["delete links", "update groups"]);
    });

    it("ends before a deleted object does", async () => {
      await arvados.share(bob, project, "can_read");
      await arvados.createLink({ linkClass: "tag", name: "t", tail: null, head: project, owner: alice });
      assert.deepEqual(await described(await arvados.deleteObject(project)), [
        "delete links",
        "delete links",
        "delete groups",
      ]);
    });
  });

  describe("trash", () => {
    it("is an update of trash_at, delete_at and is_trashed; back again too", async () => {
      const { uuid } = await arvados.createCollection({ name: "C", owner: alice });
      const trashed = await onlyLog(await arvados.trash(uuid));
      assert.equal(trashed.parsed.new_attributes?.is_trashed, true);
      assert(String(trashed.parsed.new_attributes?.delete_at) > String(trashed.parsed.new_attributes?.trash_at));
      const back = (await onlyLog(await arvados.untrash(uuid))).parsed.new_attributes;
      assert.deepEqual([back?.trash_at, back?.delete_at, back?.is_trashed], [null, null, false]);
    });

    it("with a time to come changes nothing yet; the sweep then is silent for a collection and logged for a group", async () => {
      const collection = await arvados.createCollection({ name: "C", owner: alice });
      const group = await arvados.createProject({ name: "P", owner: alice });
      const at = Date.now() + 3_600_000;
      assert.equal(
        (await onlyLog(await arvados.trash(collection.uuid, { at }))).parsed.new_attributes?.is_trashed,
        false,
      );
      await arvados.trash(group.uuid, { at });
      assert.deepEqual((await arvados.sweepTrash(collection.uuid)).logIds, []);
      assert.deepEqual(await described(await arvados.sweepTrash(group.uuid)), ["update groups"]);
    });
  });

  describe("collections", () => {
    it("have what follows from their manifest", async () => {
      const manifestText = manifestOf("hello.txt", "hello");
      const { uuid } = await arvados.createCollection({ name: "C", owner: alice, manifestText });
      const row = await one("SELECT * FROM collections WHERE uuid = $1", uuid);
      assert.equal(manifestText, ". 5d41402abc4b2a76b9719d911017c592+5 0:5:hello.txt\n");
      assert.equal(row.portable_data_hash, `${createHash("md5").update(manifestText).digest("hex")}+51`);
      assert.deepEqual([row.file_names, row.file_count, row.file_size_total], ["hello.txt", 1, "5"]);
      assert.deepEqual([row.current_version_uuid, row.version], [uuid, 1]);
    });

    it("keep a past version as a row of its own, which root creates", async () => {
      const { uuid } = await arvados.createCollection({ name: "C", owner: alice, manifestText: manifestOf("a", "1") });
      const changed = await arvados.updateCollection(uuid, { manifestText: manifestOf("a", "2"), keepVersion: true });
      assert.deepEqual(await described(changed), ["update collections", "create collections"]);
      const [, snapshot] = await logs(changed);
      assert.equal(snapshot?.owner_uuid, arvados.known.rootUser);
      const rows = await db.query(
        "SELECT uuid, version FROM collections WHERE current_version_uuid = $1 ORDER BY version",
        [uuid],
      );
      assert.deepEqual(rows, [
        { uuid: snapshot?.object_uuid, version: 1 },
        { uuid, version: 2 },
      ]);
    });
  });

  describe("tokens", () => {
    it("expire, change scopes and go with a log row", async () => {
      const { uuid } = await arvados.issueToken(alice);
      const scopes = await onlyLog(await arvados.setTokenScopes(uuid, ["GET /"]));
      assert.deepEqual(scopes.parsed.new_attributes?.scopes, ["GET /"]);
      const expired = await onlyLog(await arvados.expireToken(uuid));
      assert(String(expired.parsed.new_attributes?.expires_at) <= auditTime(timestampOf(Date.now() + 1)));
      assert.deepEqual(await described(await arvados.deleteToken(uuid)), ["delete api_client_authorizations"]);
    });

    it("are used, logged out and swept away in silence", async () => {
      const { uuid } = await arvados.issueToken(alice);
      assert.deepEqual((await arvados.useToken(uuid)).logIds, []);
      assert.deepEqual((await arvados.logoutToken(uuid)).logIds, []);
      const swept = await arvados.sweepExpiredTokens();
      assert.deepEqual([swept.uuids, swept.logIds], [[uuid], []]);
    });
  });
});
