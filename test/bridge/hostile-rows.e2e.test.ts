/** What any token holder, an old database or Arvados itself may write: no crash, no misrouting, counted; and Arvados' own writes never fail. */
import assert from "node:assert/strict";
import { jetstreamManager } from "@nats-io/jetstream";
import { isTable, KEY_OF } from "../../bridge/postgres/tables.ts";
import type { MovedEntry, RecordEvent } from "../../core/wire/wire.ts";
import { until } from "../../dev/testing/until.ts";
import { startBridgeWorld } from "../support/worlds/bridge-world.ts";

describe("hostile rows", () => {
  it("crash nothing, reach no user who may not read them, and are counted", async () => {
    await using world = await startBridgeWorld();
    const { arvados, database } = world;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    const { uuid: bob } = await arvados.createUser({ username: "bob" });
    const { uuid: collection } = await arvados.createCollection({ name: "alice's", owner: alice });
    const before = (await world.records()).filter(({ event }) => event.object_uuid === collection).length;

    const forged = {
      new_attributes: { uuid: collection, owner_uuid: bob, name: "taken" },
      old_attributes: { owner_uuid: alice },
    };
    const rows: { objectUuid: string | null; eventType?: string; properties?: string | Record<string, unknown> }[] = [
      { objectUuid: "nonsense", eventType: "update" },
      { objectUuid: "", eventType: "x" },
      { objectUuid: null },
      { objectUuid: "zzzzz-4zz18-*.>aaaaaaaaaaa", eventType: "my_event" },
      { objectUuid: "zzzzz-00000-aaaaaaaaaaaaaaa", eventType: "my_event" },
      { objectUuid: "other-4zz18-aaaaaaaaaaaaaaa", eventType: "update", properties: forged },
      { objectUuid: collection, eventType: "update", properties: forged },
      { objectUuid: collection, eventType: "delete", properties: forged },
      { objectUuid: collection, eventType: "create", properties: forged },
      { objectUuid: collection, eventType: "update", properties: "---\nold_attributes: !ruby/hash:Thing\n  a: 1\n" },
      { objectUuid: collection, eventType: "update", properties: '["not", "an", "object"]' },
      { objectUuid: collection, eventType: "evil\nevent.>", properties: {} },
      { objectUuid: collection, eventType: "update", properties: { new_attributes: { name: "n".repeat(5_000_000) } } },
    ];
    for (const row of rows) await arvados.insertForgedLog({ ...row, by: bob });
    await database.query("INSERT INTO logs (created_at, updated_at) VALUES (now(), now())");
    const after = await world.records();
    assert.equal(
      after.filter(({ event }) => event.object_uuid === collection).length,
      before,
      "no event from a forged row",
    );
    assert.ok(!after.some(({ subject }) => subject.includes(bob) && subject.includes(collection)));
    assert.match(await world.metricsText(), new RegExp(`untrue_log_rows_total ${rows.length + 1}\n`));
  });

  it("of own types are events, marked untrusted, for those who may read the object", async () => {
    await using world = await startBridgeWorld();
    const { arvados } = world;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    const { uuid: bob } = await arvados.createUser({ username: "bob" });
    const { uuid: collection } = await arvados.createCollection({ name: "alice's", owner: alice });
    await arvados.insertForgedLog({
      objectUuid: collection,
      objectOwnerUuid: bob,
      eventType: "my_event",
      properties: { text: "hi" },
      by: bob,
    });
    await arvados.insertForgedLog({
      objectUuid: collection,
      eventType: "huge",
      properties: { text: "x".repeat(5_000_000) },
      by: bob,
    });
    await arvados.logDownload(alice, { collection, portableDataHash: "x+0", path: "secret.txt" });
    const found = await world.records();
    const of = (type: string) => found.filter(({ event }) => event.event_type === type);
    const root = world.nats.subjects.record("");
    assert.deepEqual(
      of("my_event").map(({ subject }) => subject),
      [`${root}${alice}.${collection}.collections`],
    );
    assert.equal(of("my_event")[0]?.event.untrusted, true);
    assert.deepEqual(of("my_event")[0]?.event.properties, { text: "hi" });
    assert.equal(of("huge")[0]?.event.properties, undefined);
    // To the readers of what alice owns, and not to everyone who may read her record.
    assert.deepEqual(
      of("file_download").map(({ subject }) => subject),
      [`${root}${alice}.${alice}.users`],
    );
  });
});

describe("a move", () => {
  it("says at the former owner that the object has left", async () => {
    await using world = await startBridgeWorld();
    const { arvados } = world;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    const { uuid: from } = await arvados.createProject({ name: "from", owner: alice });
    const { uuid: to } = await arvados.createProject({ name: "to", owner: alice });
    const { uuid } = await arvados.createCollection({ name: "c", owner: from });
    await arvados.move(uuid, to);
    const found = await world.records();
    const moved = await world.lastOn<MovedEntry>(world.nats.subjects.moved(uuid));
    const subject = `${world.nats.subjects.record("")}${alice}.${from}.${uuid}.collections`;
    assert.equal(moved?.from?.subject, subject);
    const store = await world.nats.connect("gateway", "STORE");
    const last = await (await jetstreamManager(store)).streams.getMessage("RECORDS", { last_by_subj: subject });
    assert.equal(last?.seq, moved?.from?.sequence);
    assert.equal(last?.json<RecordEvent>().event_type, "left");
    assert.ok(found.some((item) => item.event.event_type === "left"));
  });
});

describe("changes without a log row", () => {
  for (const publishSilent of [true, false]) {
    it(publishSilent ? "are events of their own where that is set" : "are none otherwise", async () => {
      await using world = await startBridgeWorld({ publishSilent });
      const { arvados, database } = world;
      const { uuid: alice } = await arvados.createUser({ username: "alice" });
      const { uuid: project } = await arvados.createProject({ name: "p", owner: alice });
      const { uuid } = await arvados.createCollection({ name: "c", owner: alice });
      await database.query("UPDATE collections SET replication_confirmed = 2 WHERE uuid = $1", [uuid]);
      await database.query("UPDATE collections SET owner_uuid = $2 WHERE uuid = $1", [uuid, project]);
      const silent = (await world.records())
        .filter(({ event }) => event.object_uuid === uuid)
        .map(({ event }) => event.event_type);
      assert.deepEqual(silent, publishSilent ? ["create", "left", "silent"] : ["create"]);
      const moved = await world.lastOn<MovedEntry>(world.nats.subjects.moved(uuid));
      assert.equal(moved !== null, publishSilent);
    });
  }
});

describe("QUEUE", () => {
  it("begins with the waiting containers, keeps priorities exact, and drops final ones", async () => {
    let queued = "";
    let over = "";
    const priority = 562_949_953_421_312_001n * 2n;
    await using world = await startBridgeWorld({}, async (arvados) => {
      const { uuid: user } = await arvados.createUser({ username: "alice" });
      queued = (await arvados.createContainer({ runtimeUser: user, priority })).uuid;
      over = (await arvados.createContainer({ runtimeUser: user })).uuid;
      await arvados.setContainerState(over, "Cancelled");
    });
    const { arvados } = world;
    assert.equal((await until(() => world.queue(queued), "the initial state")).priority, String(priority));
    assert.equal(await world.queue(over), null);
    await arvados.setContainerPriority(queued, priority + 1n);
    await until(
      async () => (await world.queue(queued))?.priority === String(priority + 1n),
      "the silent change of priority",
    );
    await arvados.runContainer(queued);
    await until(async () => (await world.queue(queued))?.state === "Running", "the container to run");
    await world.first.stop();
    await arvados.completeContainer(queued);
    const { uuid: user } = await arvados.createUser({ username: "bob" });
    const { uuid: later } = await arvados.createContainer({ runtimeUser: user });
    const second = await world.launch();
    await until(() => world.queue(later), "what came while no bridge was there");
    assert.notEqual((await world.queue(queued))?.state ?? "Cancelled", "Running");
    await second.stop();
  });
});

describe("a commit of more rows than a batch holds", () => {
  it("reaches GRAPH in parts that only its last entry ends, and RECORDS in numbered parts", async () => {
    await using world = await startBridgeWorld();
    const { arvados, database, nats } = world;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    await database.query(
      `WITH made AS (
         INSERT INTO groups (uuid, owner_uuid, name, group_class, created_at, updated_at, modified_at)
         SELECT 'zzzzz-j7d0g-' || lpad(n::text, 15, '0'), $1, 'p', 'project', now(), now(), now() FROM generate_series(1, 2500) n
         RETURNING uuid)
       INSERT INTO logs (uuid, object_uuid, object_owner_uuid, event_type, event_at, created_at, updated_at, properties)
       SELECT overlay(uuid placing '57u5n' from 7 for 5), uuid, $1, 'create', now(), now(), now(),
         json_build_object('new_attributes', json_build_object('uuid', uuid, 'owner_uuid', $1::text))::text FROM made`,
      [alice],
    );
    const found = await world.records();
    assert.equal(
      found.filter(({ event }) => event.object_owner_uuid === alice && event.object_uuid.includes("j7d0g")).length,
      2_500,
    );
    const core = await jetstreamManager(await nats.connect("gateway", "CORE"));
    const { state } = await core.streams.info("GRAPH");
    const entries: string[] = [];
    for (let sequence = state.first_seq; sequence <= state.last_seq; sequence++) {
      const message = await core.streams.getMessage("GRAPH", { seq: sequence }).catch(() => null);
      if (message) entries.push(message.subject);
    }
    const groups = entries.filter((subject) => /graph\.group\.zzzzz-j7d0g-0{11}/.test(subject));
    assert.equal(groups.length, 2_501, "these and the system group");
    assert.ok(entries.lastIndexOf(nats.subjects.graphCommit) > entries.lastIndexOf(groups.at(-1) as string));
  });
});

describe("Arvados' own writes", () => {
  it("succeed on every published table, whatever they change", async () => {
    await using world = await startBridgeWorld();
    const { arvados, database } = world;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    const { uuid: project } = await arvados.createProject({ name: "p", owner: alice });
    const { uuid: role } = await arvados.createRole({ name: "r" });
    await arvados.addToRole(alice, role);
    const { uuid: link } = await arvados.share(role, project, "can_read");
    await arvados.changeLevel(link, "can_write");
    await arvados.freeze(project);
    await arvados.unfreeze(project);
    const { uuid: collection } = await arvados.createCollection({ name: "c", owner: project });
    await arvados.updateCollection(collection, { name: "d", keepVersion: true });
    await arvados.trash(collection);
    await arvados.untrash(collection);
    const { uuid: request, container } = await arvados.createContainerRequest({
      name: "r",
      owner: project,
      committed: true,
    });
    await arvados.runContainer(container ?? "");
    await arvados.saveContainerLog(container ?? "", "log");
    await arvados.completeContainer(container ?? "");
    const token = await arvados.issueToken(alice);
    await arvados.setTokenScopes(token.uuid, ["GET /"]);
    await arvados.useToken(token.uuid);
    const { uuid: workflow } = await arvados.createWorkflow({ name: "w", owner: project });
    for (const uuid of [link, collection, request, workflow, token.uuid, project, role]) {
      await (uuid === token.uuid ? arvados.deleteToken(uuid) : arvados.deleteObject(uuid));
    }
    // The rest in SQL: insert, update of the key's neighbour and of the row, delete.
    for (const table of ["users", "authorized_keys", "virtual_machines", "credentials", "containers", "logs"]) {
      const key = isTable(table) ? KEY_OF[table] : "id";
      await database.query(`UPDATE ${table} SET modified_at = now()`);
      await database.query(`DELETE FROM ${table} WHERE ${key} = (SELECT max(${key}) FROM ${table})`);
    }
    const types = new Set((await world.records()).map(({ event }) => event.event_type));
    for (const type of ["create", "update", "delete"]) assert.ok(types.has(type), type);
  });
});
