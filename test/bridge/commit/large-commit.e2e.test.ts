/** Transactions of very many rows: the graph passes them, memory stays what it is, and every event comes. */
import assert from "node:assert/strict";
import { jetstreamManager } from "@nats-io/jetstream";
import { until } from "../../../dev/testing/until.ts";
import { type BridgeWorld, startBridgeWorld } from "../../support/worlds/bridge-world.ts";

/** One commit: so many collections of this owner, each with its log row, or with none. */
async function insertCollections(world: BridgeWorld, owner: string, count: number, logged: boolean): Promise<void> {
  const made = `INSERT INTO collections (uuid, owner_uuid, created_at, updated_at, version, is_trashed, file_count, file_size_total)
    SELECT 'zzzzz-4zz18-' || lpad(n::text, 15, '0'), '${owner}', now(), now(), 1, false, 0, 0 FROM generate_series(1, ${count}) n RETURNING uuid`;
  const log = `INSERT INTO logs (uuid, object_uuid, event_type, event_at, created_at, updated_at, modified_at, properties)
    SELECT overlay(uuid placing '57u5n' from 7 for 5), uuid, 'create', now(), now(), now(), now(),
      json_build_object('new_attributes', json_build_object('uuid', uuid, 'name', repeat('n', 200)))::text FROM made`;
  await world.database.query(logged ? `WITH made AS (${made}) ${log}` : made);
}

describe("a large transaction", () => {
  it("of 30,000 events waits for a removal in a file, while the graph passes it", async () => {
    await using world = await startBridgeWorld();
    const { arvados, nats } = world;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    const { uuid: project } = await arvados.createProject({ name: "p", owner: alice });
    const { uuid: link } = await arvados.share(alice, project, "can_read");
    await world.records();
    const jsm = await jetstreamManager(await nats.connect("gateway", "STORE"));
    const stored = async () => (await jsm.streams.info("RECORDS")).state.messages;
    world.enforcer.hold();
    await arvados.unshare(link);
    await until(async () => (await world.graphRow("link", link)) === null, "the removal in GRAPH");
    const before = await stored();
    await insertCollections(world, project, 30_000, true);
    const { uuid: bob } = await arvados.createUser({ username: "bob" });
    await until(() => world.graphRow("user", bob), "the graph to pass what RECORDS waits with");
    assert.equal(await stored(), before, "no record passes the removal");
    world.enforcer.release();
    await until(async () => (await stored()) >= before + 30_000, "all of it");
    const last = nats.subjects.record(`${alice}.${project}.zzzzz-4zz18-${"30000".padStart(15, "0")}.collections`);
    assert.ok(await world.lastOn(last));
    assert.equal(await world.terms(), 1);
  });

  it("of rows without log rows makes no event, and the graph reaches PostgreSQL's position soon", async () => {
    await using world = await startBridgeWorld();
    const { arvados } = world;
    const { uuid: alice } = await arvados.createUser({ username: "alice" });
    await insertCollections(world, alice, 50_000, false);
    const { uuid: bob } = await arvados.createUser({ username: "bob" });
    await until(() => world.graphRow("user", bob), "what was committed behind it");
    assert.equal(await world.terms(), 1);
  });
});
