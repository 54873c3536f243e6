import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import pg from "pg";
import { parseLsn } from "../../core/lsn.ts";
import { isUuid } from "../../core/uuid.ts";
import { type DemoCluster, seedDemo } from "../../dev/seed.ts";
import { manifestOf } from "../../dev/simulator/collections.ts";
import { createSimulator, type Simulator } from "../../dev/simulator/index.ts";
import { auditTime, createClock, millisecondsOf, timestampOf } from "../../dev/simulator/timestamps.ts";
import { createUuidMaker } from "../../dev/simulator/uuid-maker.ts";
import { CLUSTER, type FreshDatabase, freshDatabase } from "../support/postgres.ts";

type LogRow = {
  id: string;
  uuid: string;
  owner_uuid: string;
  object_uuid: string;
  object_owner_uuid: string | null;
  event_type: string;
  event_at: string;
  properties: string;
};

type Attributes = Record<string, unknown>;

type Properties = {
  old_etag: string | null;
  old_attributes: Attributes | null;
  new_etag: string | null;
  new_attributes: Attributes | null;
};

describe("the simulated Arvados", () => {
  let db: FreshDatabase;
  let arvados: Simulator;
  let alice: string;
  let bob: string;

  before(async () => {
    db = await freshDatabase();
    arvados = db.simulator;
    alice = (await arvados.createUser({ username: "alice" })).uuid;
    bob = (await arvados.createUser({ username: "bob" })).uuid;
  });

  after(() => db.drop());

  /** Log rows by id, oldest first, with text as PostgreSQL has it. */
  function logs({ logIds }: { logIds: number[] }): Promise<LogRow[]> {
    return db.query<LogRow>("SELECT *, event_at::text FROM logs WHERE id = ANY($1) ORDER BY id", [logIds]);
  }

  async function onlyLog(commit: { logIds: number[] }): Promise<LogRow & { parsed: Properties }> {
    const rows = await logs(commit);
    assert.equal(rows.length, 1);
    return { ...rows[0]!, parsed: JSON.parse(rows[0]!.properties) as Properties };
  }

  /** `create users`, `update links`...: what a commit's log rows say, in their order. */
  async function said(commit: { logIds: number[] }): Promise<string[]> {
    return (await logs(commit)).map((row) => `${row.event_type} ${TABLE_BY_INFIX[row.object_uuid.slice(6, 11)]}`);
  }

  async function one<R extends pg.QueryResultRow>(sql: string, ...values: unknown[]): Promise<R> {
    const [row] = await db.query<R>(sql, values);
    assert(row !== undefined);
    return row;
  }

  describe("an audit row", () => {
    it("names the actor, the object, its owner, and every column of the new row", async () => {
      const made = await arvados.createCollection({
        name: 'Grüße "☃"\n',
        owner: alice,
        properties: { a: [1, { b: null }] },
      });
      const log = await onlyLog(made);
      assert(isUuid(log.uuid) && log.uuid.startsWith(`${CLUSTER}-57u5n-`));
      assert.equal(log.event_type, "create");
      assert.equal(log.owner_uuid, alice);
      assert.equal(log.object_uuid, made.uuid);
      assert.equal(log.object_owner_uuid, alice);
      assert.deepEqual([log.parsed.old_etag, log.parsed.old_attributes], [null, null]);
      assert.match(String(log.parsed.new_etag), /^[0-9a-z]+$/);
      const columns = await db.query<{ name: string }>(
        "SELECT attname AS name FROM pg_attribute WHERE attrelid = 'collections'::regclass AND attnum > 0 ORDER BY attnum",
      );
      assert.deepEqual(
        Object.keys(log.parsed.new_attributes ?? {}),
        columns.map(({ name }) => name),
      );
      assert.deepEqual(log.parsed.new_attributes?.properties, { a: [1, { b: null }] });
    });

    it("is one line of JSON, without spaces between its tokens, non-ASCII as it is, times with nine digits", async () => {
      const made = await arvados.createCollection({ name: "Grüße  ☃\n", owner: alice, properties: { "a b": "c:  d" } });
      const { properties } = await onlyLog(made);
      assert(!properties.includes("\n"));
      assert(properties.startsWith('{"old_etag":null,"old_attributes":null,"new_etag":"'));
      assert(properties.includes('"name":"Grüße  ☃\\n"'));
      assert(properties.includes('"properties":{"a b":"c:  d"}'));
      assert.match(properties, /"created_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}000Z"/);
    });

    it("holds both rows of an update, the old one as the row before it left it", async () => {
      const made = await onlyLog(await arvados.createCollection({ name: "old", owner: alice }));
      const changed = await onlyLog(await arvados.updateCollection(made.object_uuid, { name: "new", by: bob }));
      assert.deepEqual(changed.parsed.old_attributes, made.parsed.new_attributes);
      assert.equal(changed.parsed.old_etag, made.parsed.new_etag);
      assert.notEqual(changed.parsed.new_etag, changed.parsed.old_etag);
      assert.equal(changed.parsed.new_attributes?.name, "new");
      assert.equal(changed.parsed.new_attributes?.modified_by_user_uuid, bob);
      assert.equal(changed.owner_uuid, bob);
    });

    it("has the new owner of what moved and the last owner of what is gone", async () => {
      const { uuid } = await arvados.createProject({ name: "P", owner: alice });
      const moved = await onlyLog(await arvados.move(uuid, bob));
      assert.equal(moved.object_owner_uuid, bob);
      assert.equal(moved.parsed.old_attributes?.owner_uuid, alice);
      const gone = await onlyLog(await arvados.deleteObject(uuid));
      assert.equal(gone.event_type, "delete");
      assert.equal(gone.object_owner_uuid, bob);
      assert.deepEqual([gone.parsed.new_etag, gone.parsed.new_attributes], [null, null]);
      assert.equal(gone.parsed.old_attributes?.name, "P");
    });

    it("of a token names its user as owner, nests the scopes, and holds no secret", async () => {
      const token = await arvados.issueToken(alice, { scopes: ["GET /arvados/v1/"], expiresAt: Date.UTC(2040, 0, 1) });
      assert.match(token.secret, /^[0-9a-z]{50}$/);
      assert.equal(token.v2, `v2/${token.uuid}/${token.secret}`);
      const log = await onlyLog(token);
      assert.equal(log.object_owner_uuid, alice);
      assert(!log.properties.includes(token.secret));
      assert.deepEqual(log.parsed.new_attributes?.scopes, ["GET /arvados/v1/"]);
      assert.equal(log.parsed.new_attributes?.expires_at, "2040-01-01T00:00:00.000000000Z");
      assert(!("owner_uuid" in (log.parsed.new_attributes ?? {})));
      assert.equal((await onlyLog(await arvados.deleteToken(token.uuid))).object_owner_uuid, alice);
    });

    it("of a container or request holds neither runtime_token nor secret_mounts", async () => {
      const runtimeToken = (await arvados.issueToken(alice)).v2;
      const request = await arvados.createContainerRequest({ name: "Q", owner: alice, committed: true, runtimeToken });
      assert.deepEqual(await said(request), ["create containers", "create container_requests"]);
      for (const { properties } of await logs(request)) assert(!/runtime_token|secret_mounts/.test(properties));
      const { token } = await arvados.runContainer(request.container ?? "");
      assert.equal(token.withContainer, `${runtimeToken}/${request.container}`);
    });

    it("keeps every digit of a container's priority", async () => {
      const request = await arvados.createContainerRequest({ name: "Q", owner: alice, priority: 500 });
      assert.equal(request.container, null);
      const committed = await arvados.commitContainerRequest(request.uuid);
      const { priority, expected } = await one<{ priority: string; expected: string }>(
        `SELECT c.priority, 500 * (2::numeric ^ 50)::bigint - floor(extract(epoch FROM r.created_at) * 1000)::bigint AS expected
         FROM containers c JOIN container_requests r ON r.container_uuid = c.uuid WHERE c.uuid = $1`,
        committed.container,
      );
      assert.equal(priority, expected);
      assert(BigInt(priority) > 2n ** 53n);
      await arvados.setContainerPriority(committed.container, 9_007_199_254_740_993n);
      const locked = await arvados.setContainerState(committed.container, "Locked");
      const log = (await logs(locked)).find((row) => row.object_uuid === committed.container);
      assert.match(log?.properties ?? "", /"priority":9007199254740993,/);
    });
  });

  describe("a transaction", () => {
    it("notifies at COMMIT, with each log row's id as decimal text, in id order", async () => {
      const listener = new pg.Client(db.config);
      await listener.connect();
      const heard: string[] = [];
      listener.on("notification", ({ payload }) => heard.push(payload ?? ""));
      await listener.query("LISTEN logs");
      const { logIds } = await arvados.tx(async (operations) => {
        await operations.createProject({ name: "P", owner: alice });
        await operations.createProject({ name: "Q", owner: alice });
        // The server answers after what it has to notify: had it anything, it would be here.
        await listener.query("SELECT 1");
        assert.deepEqual(heard, []);
      });
      await listener.query("SELECT 1");
      assert.deepEqual(heard, logIds.map(String));
      await listener.end();
    });

    it("writes rows and log rows as one: all in the same transaction of PostgreSQL", async () => {
      const { value, logIds } = await arvados.tx(async (operations) => {
        const { uuid } = await operations.createProject({ name: "P", owner: alice });
        await operations.share(bob, uuid, "can_read");
        return uuid;
      });
      const ids = await db.query(
        `SELECT xmin FROM groups WHERE uuid = $1 UNION SELECT xmin FROM links WHERE head_uuid = $1
         UNION SELECT xmin FROM logs WHERE id = ANY($2)`,
        [value, logIds],
      );
      assert.equal(ids.length, 1);
      assert.equal(logIds.length, 2);
    });

    it("leaves nothing when it fails, but a gap in the ids", async () => {
      const { logIds } = await arvados.createProject({ name: "before", owner: alice });
      let inside = "";
      const failing = arvados.tx(async (operations) => {
        inside = (await operations.createProject({ name: "P", owner: alice })).uuid;
        throw new Error("changed my mind");
      });
      await assert.rejects(failing, /changed my mind/);
      assert.deepEqual(await db.query("SELECT 1 FROM groups WHERE uuid = $1", [inside]), []);
      assert.deepEqual(await db.query("SELECT 1 FROM logs WHERE object_uuid = $1", [inside]), []);
      const next = await arvados.createProject({ name: "after", owner: alice });
      assert(next.logIds[0]! > logIds[0]! + 1);
    });

    it("does not count as committed when a statement in it failed", async () => {
      const failing = arvados.tx((_, tx) => tx.query("SELECT 1/0").catch(() => "never mind"));
      await assert.rejects(failing, /rolled back/);
    });

    it("returns a position in the WAL not before its own end, growing from one to the next", async () => {
      const first = await arvados.createProject({ name: "1", owner: alice });
      const second = await arvados.createProject({ name: "2", owner: alice });
      assert(parseLsn(second.lsn) > parseLsn(first.lsn));
      const { flushed } = await one<{ flushed: string }>("SELECT pg_current_wal_flush_lsn()::text AS flushed");
      assert(parseLsn(flushed) >= parseLsn(second.lsn));
    });

    it("gets log ids at writing, so that ids and commits may be in different order", async () => {
      const slow = await arvados.tx(async (operations) => {
        const { uuid } = await operations.createProject({ name: "slow", owner: alice });
        const quick = await arvados.createProject({ name: "quick", owner: bob });
        return { uuid, quick };
      });
      assert(slow.logIds[0]! < slow.value.quick.logIds[0]!);
      assert(parseLsn(slow.lsn) > parseLsn(slow.value.quick.lsn));
    });
  });

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
      assert.deepEqual(await said(await arvados.activateUser(uuid)), ["create links", "create links", "update users"]);
      assert.equal((await linksOf(uuid)).length, 3);
    });

    it("lose their own links and tokens when they are deactivated, each with a log row", async () => {
      const { uuid } = await arvados.createUser({ username: "dave", isAdmin: true });
      await arvados.issueToken(uuid);
      const gone = ["delete links", "delete api_client_authorizations", "update users"];
      assert.deepEqual(await said(await arvados.deactivateUser(uuid)), gone);
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
      assert.deepEqual(await said(await arvados.mergeUser(uuid, alice)), ["update users"]);
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
      assert.deepEqual(await said(await arvados.unshare(link.uuid)), ["delete links"]);
      await arvados.share(bob, project, "can_read");
      assert.deepEqual(await said(await arvados.unshare({ tail: bob, head: project })), ["delete links"]);
      await assert.rejects(arvados.unshare({ tail: bob, head: project }), /nothing is shared/);
    });

    it("raises an existing link's level, and does nothing where that is no less", async () => {
      const first = await arvados.share(bob, project, "can_write");
      const second = await arvados.share(bob, project, "can_read");
      assert.deepEqual([second.uuid, second.logIds], [first.uuid, []]);
      const third = await arvados.share(bob, project, "can_manage");
      assert.equal(third.uuid, first.uuid);
      assert.deepEqual(await said(third), ["update links"]);
      assert.equal(
        (await onlyLog(await arvados.changeLevel(first.uuid, "can_read"))).parsed.new_attributes?.name,
        "can_read",
      );
    });

    it("goes through roles, which belong to root and are managed by their maker", async () => {
      const role = await arvados.createRole({ name: "lab", by: alice });
      assert.deepEqual(await said(role), ["create groups", "create links"]);
      await arvados.share(role.uuid, project, "can_read");
      assert.deepEqual(await said(await arvados.addToRole(bob, role.uuid)), ["create links"]);
      assert.deepEqual(await said(await arvados.removeFromRole(bob, role.uuid)), ["delete links"]);
      // A trashed role loses what it was given, and keeps its members.
      assert.deepEqual(await said(await arvados.trash(role.uuid)), ["delete links", "update groups"]);
    });

    it("ends before a deleted object does", async () => {
      await arvados.share(bob, project, "can_read");
      await arvados.createLink({ linkClass: "tag", name: "t", tail: null, head: project, owner: alice });
      assert.deepEqual(await said(await arvados.deleteObject(project)), [
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
      assert.deepEqual(await said(await arvados.sweepTrash(group.uuid)), ["update groups"]);
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
      assert.deepEqual(await said(changed), ["update collections", "create collections"]);
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
      assert.deepEqual(await said(await arvados.deleteToken(uuid)), ["delete api_client_authorizations"]);
    });

    it("are used, logged out and swept away in silence", async () => {
      const { uuid } = await arvados.issueToken(alice);
      assert.deepEqual((await arvados.useToken(uuid)).logIds, []);
      assert.deepEqual((await arvados.logoutToken(uuid)).logIds, []);
      const swept = await arvados.sweepExpiredTokens();
      assert.deepEqual([swept.uuids, swept.logIds], [[uuid], []]);
    });
  });

  describe("containers", () => {
    it("come with a committed request: created with priority 0, which then grows in silence", async () => {
      const request = await arvados.createContainerRequest({ name: "Q", owner: alice });
      const committed = await arvados.commitContainerRequest(request.uuid);
      assert.deepEqual(await said(committed), ["create containers", "update container_requests"]);
      const [created] = await logs(committed);
      assert.match(created?.properties ?? "", /"priority":0,/);
      assert.deepEqual(
        [created?.owner_uuid, created?.object_owner_uuid],
        [arvados.known.rootUser, arvados.known.rootUser],
      );
      assert.deepEqual(await said(await arvados.setRequestPriority(request.uuid, 0)), ["update container_requests"]);
      assert.equal((await one("SELECT priority FROM containers WHERE uuid = $1", committed.container)).priority, "0");
    });

    it("are shared by requests, at the highest of their priorities", async () => {
      const first = await arvados.createContainerRequest({ name: "1", owner: alice, committed: true, priority: 1 });
      const container = first.container ?? "";
      const second = { name: "2", owner: bob, committed: true, priority: 2, container };
      assert.equal((await arvados.createContainerRequest(second)).container, container);
      const { priority } = await one("SELECT priority FROM containers WHERE uuid = $1", container);
      assert(BigInt(priority) > 2n ** 50n);
    });

    it("have a token of their user's from Locked to the end, and their requests get output and log", async () => {
      const request = await arvados.createContainerRequest({ name: "Q", owner: alice, committed: true });
      const container = request.container ?? "";
      const locked = await arvados.setContainerState(container, "Locked");
      assert.deepEqual(await said(locked), ["create api_client_authorizations", "update containers"]);
      assert.equal(locked.token?.withContainer, `${locked.token?.v2}/${container}`);
      assert.equal((await logs(locked))[0]?.object_owner_uuid, alice);
      const running = await arvados.setContainerState(container, "Running");
      assert.equal(running.token, null);
      assert.deepEqual(await said(running), ["update containers"]);
      assert.equal((await row(container)).auth_uuid, locked.token?.uuid);

      assert.deepEqual(await said(await arvados.saveContainerLog(container, "so far")), [
        "update containers",
        "create collections",
        "update container_requests",
      ]);
      assert.deepEqual(await said(await arvados.saveContainerLog(container, "and on")), [
        "update containers",
        "update collections",
      ]);
      const ended = await arvados.completeContainer(container, { exitCode: 3 });
      assert.deepEqual(await said(ended), [
        "update containers",
        "update api_client_authorizations",
        "create collections",
        "update container_requests",
      ]);
      const after = await row(container);
      assert.deepEqual([after.state, after.auth_uuid, after.exit_code], ["Complete", null, 3]);
      const final = await one(
        "SELECT state, output_uuid, log_uuid FROM container_requests WHERE uuid = $1",
        request.uuid,
      );
      assert.equal(final.state, "Final");
      assert(isUuid(final.output_uuid) && isUuid(final.log_uuid));
    });

    it("end when they are cancelled, and go no way that Arvados does not know", async () => {
      const { container } = await arvados.createContainerRequest({ name: "Q", owner: alice, committed: true });
      await assert.rejects(arvados.setContainerState(container ?? "", "Complete"), /cannot go from Queued to Complete/);
      const { token } = await arvados.runContainer(container ?? "");
      await arvados.setContainerState(container ?? "", "Cancelled");
      const { expires_at } = await one<{ expires_at: Date | null }>(
        "SELECT expires_at FROM api_client_authorizations WHERE uuid = $1",
        token.uuid,
      );
      assert.notEqual(expires_at, null);
      await assert.rejects(arvados.setContainerState(container ?? "", "Running"), /cannot go from Cancelled/);
    });

    it("wipe a supplied runtime_token at their end", async () => {
      const runtimeToken = (await arvados.issueToken(alice)).v2;
      const request = await arvados.createContainerRequest({ name: "Q", owner: alice, committed: true, runtimeToken });
      await arvados.runContainer(request.container ?? "");
      assert.deepEqual(await row(request.container).then((it) => [it.auth_uuid, it.runtime_token]), [
        null,
        runtimeToken,
      ]);
      await arvados.completeContainer(request.container ?? "");
      assert.equal((await row(request.container)).runtime_token, null);
    });

    function row(container: string | null) {
      return one("SELECT * FROM containers WHERE uuid = $1", container);
    }
  });

  describe("log rows that are no change", () => {
    it("can be forged by any token holder, and look like real ones", async () => {
      const forged = await arvados.insertForgedLog({
        by: bob,
        objectUuid: alice,
        objectOwnerUuid: bob,
        properties: { new_attributes: { is_admin: true } },
      });
      const log = await onlyLog(forged);
      assert.equal(log.id, String(forged.id));
      assert.deepEqual([log.owner_uuid, log.object_uuid, log.event_type], [bob, alice, "update"]);
      const nonsense = await arvados.insertForgedLog({ objectUuid: null, eventType: "stdout", properties: "not json" });
      assert.equal((await logs(nonsense))[0]?.properties, "not json");
    });

    it("tell a user's activity without NOTIFY", async () => {
      const listener = new pg.Client(db.config);
      await listener.connect();
      const heard: unknown[] = [];
      listener.on("notification", (notification) => heard.push(notification));
      await listener.query("LISTEN logs");
      const log = await onlyLog(await arvados.logActivity(alice));
      await listener.query("SELECT 1");
      assert.deepEqual([log.event_type, log.properties, heard], ["activity", "{}", []]);
      await listener.end();
    });
  });

  describe("what every cluster has", () => {
    it("is there from the start: root, the well-known groups, and their links", async () => {
      await using fresh = await freshDatabase();
      const { known } = fresh.simulator;
      const links = await fresh.query<{ it: string }>(
        "SELECT concat_ws(' ', tail_uuid, name, head_uuid) AS it FROM links ORDER BY id",
      );
      const [empty] = await fresh.query<{ uuid: string }>("SELECT uuid FROM collections");
      assert.deepEqual(
        links.map(({ it }) => it),
        [
          `${known.systemGroup} can_manage ${known.anonymousUser}`,
          `${known.allUsersGroup} can_read ${known.anonymousGroup}`,
          `${known.anonymousUser} can_read ${known.anonymousGroup}`,
          `${known.anonymousGroup} can_read ${known.publicFavorites}`,
          `${known.anonymousGroup} can_read ${empty?.uuid}`,
        ],
      );
      const edges = await fresh.query("SELECT 1 FROM permission_graph_edges");
      // 4 groups, 2 users twice, 5 links.
      assert.equal(edges.length, 13);
    });

    it("cannot write to a table without a key once it is published, so such a table must not be published", async () => {
      await using fresh = await freshDatabase();
      await fresh.query("INSERT INTO frozen_groups VALUES ('a')");
      await fresh.query("CREATE PUBLICATION bad FOR TABLE frozen_groups");
      await assert.rejects(fresh.query("DELETE FROM frozen_groups"), /replica identity/);
    });
  });

  describe("the demo cluster", () => {
    let demo: DemoCluster;
    let fresh: FreshDatabase;

    before(async () => {
      fresh = await freshDatabase();
      demo = await seedDemo(fresh.simulator);
    });

    after(() => fresh.drop());

    it("has a running container in alice's project, whose token is alice's", async () => {
      const [row] = await fresh.query(
        `SELECT c.state, r.owner_uuid, u.uuid AS runs_as, t.api_token
         FROM containers c JOIN container_requests r ON r.container_uuid = c.uuid
         JOIN api_client_authorizations t ON t.uuid = c.auth_uuid JOIN users u ON u.id = t.user_id`,
      );
      assert.deepEqual(row, {
        state: "Running",
        owner_uuid: demo.projects.run1,
        runs_as: demo.users.alice.uuid,
        api_token: demo.container.token.secret,
      });
    });

    it("gives alice the lab's data and bob nothing of alice's", async () => {
      const links = await fresh.query<{ it: string }>(
        `SELECT concat_ws(' ', tail_uuid, name, head_uuid) AS it FROM links
         WHERE head_uuid = ANY($1) OR (tail_uuid = $2 AND head_uuid <> $3)`,
        [Object.values(demo.projects), demo.users.bob.uuid, fresh.simulator.known.allUsersGroup],
      );
      assert.deepEqual(
        links.map(({ it }) => it),
        [`${demo.roles.lab} can_write ${demo.projects.sharedData}`],
      );
    });
  });
});

describe("the simulator's parts", () => {
  it("make the same uuids and secrets from the same chance", () => {
    const draws = () => {
      let state = 1;
      return () => {
        state = (state * 48_271) % 2_147_483_647;
        return state / 2_147_483_647;
      };
    };
    const [first, second] = [createUuidMaker("abcde", draws()), createUuidMaker("abcde", draws())];
    const uuid = first.uuid("links");
    assert.match(uuid, /^abcde-o0j2j-[0-9a-z]{15}$/);
    assert.equal(second.uuid("links"), uuid);
    assert.notEqual(first.uuid("links"), uuid);
    second.uuid("links");
    assert.equal(first.secret(), second.secret());
  });

  it("give times that grow by at least a microsecond, even when the clock stops or goes back", () => {
    const readings = [1_700_000_000_000.25, 1_700_000_000_000.25, 1_699_999_999_999];
    const clock = createClock(() => readings.shift() ?? 1_700_000_000_001);
    assert.deepEqual(
      [clock(), clock(), clock(), clock()],
      [
        "2023-11-14 22:13:20.000250",
        "2023-11-14 22:13:20.000251",
        "2023-11-14 22:13:20.000252",
        "2023-11-14 22:13:20.001000",
      ],
    );
  });

  it("write the audit log's times with nine digits, whatever PostgreSQL left out", () => {
    assert.equal(auditTime("2026-08-07 01:02:03"), "2026-08-07T01:02:03.000000000Z");
    assert.equal(auditTime("2026-08-07 01:02:03.5"), "2026-08-07T01:02:03.500000000Z");
    assert.equal(millisecondsOf(timestampOf(1_700_000_000_123)), 1_700_000_000_123);
  });

  it("act with a given clock and chance, on a pool that is given and stays open", async () => {
    await using db = await freshDatabase();
    const pool = new pg.Pool(db.config);
    try {
      const arvados = createSimulator({ pool, clusterId: CLUSTER, random: () => 0.5, now: () => Date.UTC(2030, 0, 1) });
      const { uuid } = await arvados.createProject({ name: "P", owner: arvados.known.rootUser });
      assert.equal(uuid, `${CLUSTER}-j7d0g-${"i".repeat(15)}`);
      await arvados.close();
      const { rows } = await pool.query("SELECT created_at::text FROM groups WHERE uuid = $1", [uuid]);
      assert.deepEqual(rows, [{ created_at: "2030-01-01 00:00:00" }]);
    } finally {
      await pool.end();
    }
  });
});

const TABLE_BY_INFIX: Record<string, string> = {
  tpzed: "users",
  j7d0g: "groups",
  o0j2j: "links",
  "4zz18": "collections",
  xvhdp: "container_requests",
  dz642: "containers",
  gj3su: "api_client_authorizations",
};
