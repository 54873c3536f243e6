/** A repeated commit is routed as it would have been at first: by the graph at its time, not by the present one. */
import assert from "node:assert/strict";
import { jetstreamManager } from "@nats-io/jetstream";
import { wellKnown } from "../../core/uuid.ts";
import type { CommitEntry } from "../../core/wire/graph-entry.ts";
import { until } from "../../dev/testing/until.ts";
import { readCommitLog } from "./commit-log.ts";
import { leading } from "./scene.ts";
import { type ChaosWorld, startChaosWorld } from "./world.ts";

const lastLsn = async (world: ChaosWorld) => (await readCommitLog(world.pool)).at(-1)?.lsn;

/**
 * GRAPH is ahead of RECORDS, which wait for a barrier, when the bridge is killed; then things change while no bridge runs; and the next
 * bridge is killed too, before it has repeated anything. Returns what became of it.
 */
async function story({ today = false } = {}) {
  await using world = await startChaosWorld();
  const { arvados, enforcer } = world;
  const { subjects } = world.nats;
  const { allUsersGroup } = wellKnown(world.config.clusterId);
  const [owner, other] = [
    await arvados.createUser({ username: "owner" }),
    await arvados.createUser({ username: "other" }),
  ];
  const project = await arvados.createProject({ name: "project", owner: owner.uuid });
  const [others, outer] = [
    await arvados.createProject({ name: "others", owner: other.uuid }),
    await arvados.createProject({ name: "outer", owner: owner.uuid }),
  ];
  const link = await arvados.share(other.uuid, project.uuid, "can_read");
  const collection = (name: string) => arvados.createCollection({ name, owner: project.uuid });
  const first = world.bridge("first", { today });
  await leading(first);
  await collection("before");
  const before = await lastLsn(world);
  await until(async () => (await world.records()).at(-1)?.lsn === before, "the first event");

  enforcer.hold();
  await arvados.unshare(link.uuid);
  const atHome = await collection("at home");
  const token = await arvados.issueToken(owner.uuid);
  await arvados.move(project.uuid, others.uuid);
  const toAll = await arvados.share(allUsersGroup, project.uuid, "can_read");
  const shared = await collection("shared by other");
  await arvados.addToRole(other.uuid, (await arvados.createRole({ name: "last" })).uuid);
  const nc = await world.nats.connect("gateway", "CORE");
  const jsm = await jetstreamManager(nc);
  const last = await lastLsn(world);
  const inGraph = async () =>
    (await jsm.streams.getMessage("GRAPH", { last_by_subj: subjects.graphCommit }))?.json<CommitEntry>().lsn;
  await until(async () => (await inGraph()) === last, "all of it to stand in GRAPH");
  await first.stop();
  assert.equal((await world.records()).at(-1)?.lsn, before, "nothing of it stands in RECORDS");

  await arvados.unshare(toAll.uuid);
  await arvados.move(project.uuid, outer.uuid);
  await arvados.deleteToken(token.uuid);
  const later = await collection("later");
  const second = world.bridge("second", { today });
  await leading(second);
  await second.stop();
  const third = world.bridge("third", { today });
  await leading(third);
  enforcer.release();
  const end = await lastLsn(world);
  await until(async () => (await world.records()).at(-1)?.lsn === end, "all of it to stand in RECORDS");
  const records = await world.records();
  await nc.close();
  /** Where an object's events went, with its uuid and its kind left out, and the names of the story put in. */
  const routes = (object: string) =>
    records
      .filter((record) => record.object === object && record.subject.includes(".rec."))
      .map(({ type, subject }) => {
        const named = [
          [owner, "owner"],
          [other, "other"],
          [project, "project"],
          [others, "others"],
          [outer, "outer"],
        ] as const;
        const path = named.reduce((text, [{ uuid }, name]) => text.replace(uuid, name), subject);
        return `${type} ${path.split(".").slice(3, -2).join(".").replace(allUsersGroup, "all")}`;
      });
  return {
    epoch: (await world.leads()).at(-1)?.epoch,
    atHome: routes(atHome.uuid),
    shared: routes(shared.uuid),
    later: routes(later.uuid),
    token: routes(token.uuid),
  };
}

describe("a commit that comes again because its bridge was killed between GRAPH and RECORDS", () => {
  it("is routed as it would have been at first, whatever has changed since", async () => {
    const { epoch, ...routes } = await story();
    assert.deepEqual(routes, {
      atHome: ["create owner.project"],
      shared: ["create other.others.project", "create @role.all.other.others.project"],
      later: ["create owner.outer.project"],
      token: ["create @user.owner", "delete owner.@deleted"],
    });
    assert.equal(epoch, 1, "nothing was lost");
  });

  it("would be routed to other readers, or to none, by the present graph", async () => {
    const routes = await story({ today: true });
    assert.deepEqual(routes.atHome, ["create owner.outer.project"]);
    assert.deepEqual(routes.shared, ["create owner.outer.project"]);
    assert.deepEqual(routes.token, ["create @admin", "delete owner.@deleted"]);
  });
});
