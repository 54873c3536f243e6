/** Containers, forged log rows, and what every cluster and the demo contain. */
import assert from "node:assert/strict";
import pg from "pg";
import { isUuid } from "../../../core/uuid.ts";
import { type DemoCluster, seedDemo } from "../../../dev/seed.ts";
import type { Simulator } from "../../../dev/simulator/index.ts";
import { type FreshDatabase, freshDatabase } from "../../support/servers/postgres.ts";
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

  describe("containers", () => {
    it("come with a committed request: created with priority 0, which then grows in silence", async () => {
      const request = await arvados.createContainerRequest({ name: "Q", owner: alice });
      const committed = await arvados.commitContainerRequest(request.uuid);
      assert.deepEqual(await described(committed), ["create containers", "update container_requests"]);
      const [created] = await logs(committed);
      assert.match(created?.properties ?? "", /"priority":0,/);
      assert.deepEqual(
        [created?.owner_uuid, created?.object_owner_uuid],
        [arvados.known.rootUser, arvados.known.rootUser],
      );
      assert.deepEqual(await described(await arvados.setRequestPriority(request.uuid, 0)), [
        "update container_requests",
      ]);
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
      assert.deepEqual(await described(locked), ["create api_client_authorizations", "update containers"]);
      assert.equal(locked.token?.withContainer, `${locked.token?.v2}/${container}`);
      assert.equal((await logs(locked))[0]?.object_owner_uuid, alice);
      const running = await arvados.setContainerState(container, "Running");
      assert.equal(running.token, null);
      assert.deepEqual(await described(running), ["update containers"]);
      assert.equal((await row(container)).auth_uuid, locked.token?.uuid);

      assert.deepEqual(await described(await arvados.saveContainerLog(container, "so far")), [
        "update containers",
        "create collections",
        "update container_requests",
      ]);
      assert.deepEqual(await described(await arvados.saveContainerLog(container, "and on")), [
        "update containers",
        "update collections",
      ]);
      const ended = await arvados.completeContainer(container, { exitCode: 3 });
      assert.deepEqual(await described(ended), [
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
