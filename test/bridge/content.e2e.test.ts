/** Rows that an admin's SQL, an old database or a hostile user may hold: each costs at most itself, and nothing that cannot be read grants. */
import assert from "node:assert/strict";
import type { Commit } from "../../bridge/commit/commit.ts";
import { CommitHandler, type Handled } from "../../bridge/commit/commit-handler.ts";
import type { Guards } from "../../bridge/guards.ts";
import { until } from "../../dev/testing/until.ts";
import { type BridgeWorld, startBridgeWorld } from "../support/worlds/bridge-world.ts";

/** The bridge is where it was: it has begun no second term. */
async function assertOneTerm(world: BridgeWorld): Promise<void> {
  assert.equal(await world.terms(), 1, "the bridge leads in its first term");
  await world.records();
}

describe("a row that cannot be read", () => {
  it("of a token that ends at -infinity, before Christ or at a time in another style ends the token", async () => {
    await using world = await startBridgeWorld();
    const { arvados, database } = world;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    for (const [time, ends] of [
      ["-infinity", 0],
      ["0044-03-15 BC", 0],
      ["infinity", null],
      ["20000-01-01", null],
      ["2001-02-03 04:05:06.789", Date.UTC(2001, 1, 3, 4, 5, 6, 789)],
    ] as const) {
      const { uuid } = await arvados.issueToken(alice);
      await until(() => world.graphRow("token", uuid), "the token in GRAPH");
      await database.query("UPDATE api_client_authorizations SET expires_at = $2 WHERE uuid = $1", [uuid, time]);
      await world.records();
      assert.equal((await world.graphRow("token", uuid))?.expires_at, ends, time);
    }
    assert.match(
      await world.metricsText(),
      /unreadable_values_total\{table="api_client_authorizations",column="expires_at"\} 2/,
    );
    await assertOneTerm(world);
  });

  it("of a megabyte of scopes makes a token that grants nothing", async () => {
    await using world = await startBridgeWorld();
    const { arvados, database } = world;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    const { uuid } = await arvados.issueToken(alice);
    const scopes = JSON.stringify([
      "all",
      ...Array.from(
        { length: 20_000 },
        (_, n) => `GET /arvados/v1/collections/zzzzz-4zz18-${String(n).padStart(15, "0")}`,
      ),
    ]);
    await database.query("UPDATE api_client_authorizations SET scopes = $2 WHERE uuid = $1", [uuid, scopes]);
    await world.records();
    assert.deepEqual((await world.graphRow("token", uuid))?.scopes, []);
    await database.query("UPDATE api_client_authorizations SET scopes = $2 WHERE uuid = $1", [
      uuid,
      "[".repeat(60_000),
    ]);
    await assertOneTerm(world);
    // The next bridge reads it in its snapshot.
    await database.query("UPDATE api_client_authorizations SET scopes = $2 WHERE uuid = $1", [uuid, scopes]);
    await world.first.stop();
    const second = await world.launch();
    await world.records();
    assert.deepEqual((await world.graphRow("token", uuid))?.scopes, []);
    await second.stop();
  });

  it("of a log row nested 100,000 deep, or of 30 MB of small values, makes no event or one without them", async () => {
    await using world = await startBridgeWorld();
    const { arvados } = world;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    const { uuid } = await arvados.createCollection({ name: "c", owner: alice });
    const deep = `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`;
    for (const properties of [`{"new_attributes":${deep}}`, `{"x":[${"1,{},".repeat(5_000_000)}0]}`, deep]) {
      for (const eventType of ["update", "my_event"]) {
        await arvados.insertForgedLog({ objectUuid: uuid, eventType, properties, by: alice });
      }
    }
    const found = await world.records();
    const custom = found.filter(({ event }) => event.event_type === "my_event");
    assert.deepEqual(
      custom.map(({ event }) => event.properties),
      [undefined, undefined, undefined],
    );
    await assertOneTerm(world);
  });

  it("without a valid uuid grants nothing", async () => {
    await using world = await startBridgeWorld();
    const { arvados, database } = world;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    const { uuid: project } = await arvados.createProject({ name: "p", owner: alice });
    const { uuid: link } = await arvados.share(alice, project, "can_read");
    for (const uuid of [null, "zzzzz-o0j2j-*.>", "x".repeat(255)]) {
      await database.query("UPDATE links SET uuid = $2 WHERE head_uuid = $1", [project, uuid]);
      await world.records();
      assert.equal(await world.graphRow("link", link), null);
    }
    await assertOneTerm(world);
  });
});

describe("a key that changes", () => {
  it("ends the rights of the old key: a link's uuid and number, a group's and a user's uuid", async () => {
    await using world = await startBridgeWorld();
    const { arvados, database } = world;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    const { uuid: project } = await arvados.createProject({ name: "p", owner: alice });
    const { uuid: link } = await arvados.share(alice, project, "can_read");
    const { uuid: token } = await arvados.issueToken(alice);
    const renamed = link.replace(/.{5}$/, "moved");
    await database.query("UPDATE links SET uuid = $2 WHERE uuid = $1", [link, renamed]);
    await world.records();
    assert.equal(await world.graphRow("link", link), null);
    assert.equal((await world.graphRow("link", renamed))?.head_uuid, project);
    await database.query("UPDATE links SET id = id + 1000000 WHERE uuid = $1", [renamed]);
    await database.query("DELETE FROM links WHERE uuid = $1", [renamed]);
    await database.query("UPDATE groups SET uuid = $2 WHERE uuid = $1", [project, project.replace(/.{5}$/, "moved")]);
    const bob = alice.replace(/.{5}$/, "moved");
    await database.query("UPDATE users SET uuid = $2 WHERE uuid = $1", [alice, bob]);
    await world.records();
    assert.equal(await world.graphRow("link", renamed), null);
    assert.equal(await world.graphRow("group", project), null);
    assert.equal(await world.graphRow("user", alice), null);
    assert.equal((await world.graphRow("token", token))?.user_uuid, bob, "a user's tokens name the user by number");
    await assertOneTerm(world);
  });

  it("in a swap of two rows gives each row its own rights", async () => {
    await using world = await startBridgeWorld();
    const { arvados, database } = world;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    const { uuid: bob } = await arvados.createUser({ username: "bob" });
    const { uuid: project } = await arvados.createProject({ name: "p", owner: alice });
    const { uuid: a } = await arvados.share(alice, project, "can_read");
    const { uuid: b } = await arvados.share(bob, project, "can_write");
    const before = { a: await world.graphRow("link", a), b: await world.graphRow("link", b) };
    await database.query(
      `BEGIN; UPDATE links SET uuid = 'zzzzz-o0j2j-swapswapswapswa' WHERE uuid = '${a}';
       UPDATE links SET uuid = '${a}' WHERE uuid = '${b}';
       UPDATE links SET uuid = '${b}' WHERE uuid = 'zzzzz-o0j2j-swapswapswapswa'; COMMIT`,
    );
    await world.records();
    assert.equal((await world.graphRow("link", a))?.tail_uuid, before.b?.tail_uuid ?? bob);
    assert.equal((await world.graphRow("link", b))?.tail_uuid, before.a?.tail_uuid ?? alice);
  });
});

describe("TRUNCATE", () => {
  it("of any published table ends the rights of its rows, and the bridge continues", async () => {
    await using world = await startBridgeWorld();
    const { arvados, database } = world;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    const { uuid: project } = await arvados.createProject({ name: "p", owner: alice });
    const { uuid: collection } = await arvados.createCollection({ name: "c", owner: alice });
    const { uuid: link } = await arvados.share(alice, project, "can_read");
    const { uuid: single } = await arvados.share(alice, collection, "can_read");
    const { uuid: token } = await arvados.issueToken(alice);
    await world.records();
    assert.ok(await world.graphRow("link", link));
    assert.ok(await world.graphRow("owner", collection));
    await database.query("TRUNCATE collections");
    await world.records();
    assert.equal(await world.graphRow("owner", collection), null);
    await database.query(
      "TRUNCATE links, api_client_authorizations, workflows, credentials, container_requests, containers",
    );
    await world.records();
    for (const [kind, uuid] of [
      ["link", link],
      ["link", single],
      ["token", token],
    ] as const) {
      assert.equal(await world.graphRow(kind, uuid), null);
    }
    await database.query("TRUNCATE users, groups, authorized_keys, virtual_machines, logs");
    await world.records();
    assert.equal(await world.graphRow("user", alice), null);
    assert.equal(await world.graphRow("group", project), null);
    // PostgreSQL creates a new table file, which is a change of the catalogs: each may begin a term, and none begins two.
    assert.ok((await world.terms()) <= 4, "a term for each");
    await world.first.stop();
    const second = await world.launch();
    await world.records();
    await second.stop();
  });
});

describe("a log row in a transaction with a change", () => {
  it("cannot direct an event to another user's path: a move is published at the former owner", async () => {
    await using world = await startBridgeWorld();
    const { arvados, database } = world;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    const { uuid: victim } = await arvados.createUser({ username: "victim" });
    const { uuid: from } = await arvados.createProject({ name: "from", owner: alice });
    const { uuid: to } = await arvados.createProject({ name: "to", owner: alice });
    const { uuid: seen } = await arvados.createCollection({ name: "seen", owner: from });
    await world.records();
    // Another bridge, which knows no owners: it reads them from RECORDS.
    await world.first.stop();
    const second = await world.launch();
    const move = (uuid: string, claimed: string) =>
      database.query(
        `WITH moved AS (UPDATE collections SET owner_uuid = '${to}' WHERE uuid = '${uuid}' RETURNING uuid)
         INSERT INTO logs (uuid, object_uuid, event_type, event_at, created_at, updated_at, modified_at, properties)
         SELECT overlay(uuid placing '57u5n' from 7 for 5), uuid, 'update', now(), now(), now(), now(),
           json_build_object('old_attributes', json_build_object('owner_uuid', '${claimed}'),
             'new_attributes', json_build_object('owner_uuid', '${to}'))::text FROM moved`,
      );
    await move(seen, victim);
    const silent = "zzzzz-4zz18-silentsilentsil";
    await database.query(
      `INSERT INTO collections (uuid, owner_uuid, created_at, updated_at, version, is_trashed, file_count, file_size_total)
       VALUES ('${silent}', '${from}', now(), now(), 1, false, 0, 0)`,
    );
    await move(silent, victim);
    const found = await world.records();
    const left = found.filter(({ event }) => event.event_type === "left");
    const root = world.nats.subjects.record("");
    assert.deepEqual(
      left.map(({ subject }) => subject),
      [`${root}${alice}.${from}.${seen}.collections`],
    );
    assert.ok(found.some(({ event }) => event.object_uuid === silent && event.event_type === "update"));
    assert.ok(!found.some(({ subject }) => subject.includes(victim) && subject.endsWith("collections")));
    await second.stop();
  });

  it("makes no event of a permission link that the same commit deleted", async () => {
    await using world = await startBridgeWorld();
    const { arvados, database } = world;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    const { uuid: bob } = await arvados.createUser({ username: "bob" });
    const { uuid: project } = await arvados.createProject({ name: "p", owner: alice });
    const link = "zzzzz-o0j2j-brieflybriefly0";
    const log = (type: string, side: string) =>
      `INSERT INTO logs (uuid, object_uuid, event_type, event_at, created_at, updated_at, modified_at, properties)
       VALUES ('zzzzz-57u5n-' || substr(md5(random()::text), 1, 15), '${link}', '${type}', now(), now(), now(), now(), json_build_object('${side}',
         json_build_object('id', (SELECT id FROM links WHERE uuid = '${link}'), 'uuid', '${link}', 'owner_uuid', 'zzzzz-tpzed-000000000000000',
           'link_class', 'permission', 'tail_uuid', '${bob}', 'head_uuid', '${project}'))::text)`;
    await database.query(
      `BEGIN;
       INSERT INTO links (uuid, owner_uuid, tail_uuid, head_uuid, link_class, name, created_at, updated_at, modified_at)
       VALUES ('${link}', 'zzzzz-tpzed-000000000000000', '${bob}', '${project}', 'permission', 'can_read', now(), now(), now());
       ${log("create", "new_attributes")}; ${log("delete", "old_attributes")};
       DELETE FROM links WHERE uuid = '${link}'; COMMIT`,
    );
    const found = await world.records();
    assert.deepEqual(
      found.filter(({ event }) => event.object_uuid === link),
      [],
    );
  });
});

describe("a commit that handling fails at", () => {
  it("is tried again by the next leader, and then only its events are left out", async () => {
    const poison = "zzzzz-4zz18-poisonpoisonpoi";
    class FailingHandler extends CommitHandler {
      override async handle(commit: Commit, inSnapshot: boolean): Promise<Handled> {
        for (const log of commit.logs) if (log.object_uuid === poison) throw new TypeError("a defect of ours");
        return super.handle(commit, inSnapshot);
      }
    }
    const guards: Partial<Guards> = { createHandler: (parts, behind) => new FailingHandler(parts, behind) };
    await using world = await startBridgeWorld({}, async () => {}, guards);
    const { arvados } = world;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    await world.records();
    await arvados.insertForgedLog({ objectUuid: poison, eventType: "my_event", by: alice });
    const { uuid: after } = await arvados.createCollection({ name: "after", owner: alice });
    const found = await world.records();
    assert.ok(found.some(({ event }) => event.object_uuid === after));
    assert.equal(await world.terms(), 3, "two tries failed, each of which ended a term");
    assert.match(await world.metricsText(), /bridge_reduced_rows_total 1\n/);
  });
});

describe("a user who writes custom log rows without end", () => {
  it("has an allowance each minute: then one gap is published, and events of others still come", async () => {
    await using world = await startBridgeWorld();
    const { arvados } = world;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    const { uuid: bob } = await arvados.createUser({ username: "bob" });
    const { uuid } = await arvados.createCollection({ name: "c", owner: alice });
    const text = "x".repeat(5_000);
    await arvados.tx(async (operations) => {
      for (let n = 0; n < 30; n++) {
        await operations.insertForgedLog({ objectUuid: uuid, eventType: "my_event", properties: { text }, by: bob });
      }
      await operations.insertForgedLog({ objectUuid: uuid, eventType: "hers", properties: { text }, by: alice });
    });
    const types = (await world.records())
      .filter(({ event }) => event.object_uuid === uuid)
      .map(({ event }) => event.event_type);
    const routed = types.filter((type) => type === "my_event").length;
    assert.ok(routed > 0 && routed < 10, `${routed} events`);
    assert.deepEqual(types.slice(1 + routed), ["gap", "hers"]);
    assert.match(await world.metricsText(), new RegExp(`custom_events_dropped_total ${30 - routed}\n`));
  });
});
