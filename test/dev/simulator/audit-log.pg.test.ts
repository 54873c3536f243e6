/** The log rows and transactions of the simulated Arvados. */
import assert from "node:assert/strict";
import pg from "pg";
import { parseLsn } from "../../../core/lsn.ts";
import { isUuid } from "../../../core/uuid.ts";
import type { Simulator } from "../../../dev/simulator/index.ts";
import { CLUSTER, type FreshDatabase } from "../../support/servers/postgres.ts";
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

    it("of a container or request does not hold runtime_token and secret_mounts", async () => {
      const runtimeToken = (await arvados.issueToken(alice)).v2;
      const request = await arvados.createContainerRequest({ name: "Q", owner: alice, committed: true, runtimeToken });
      assert.deepEqual(await described(request), ["create containers", "create container_requests"]);
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
});
