import assert from "node:assert/strict";
import { graphRows, NOW, readVectors, worldObjects } from "../../vectors/world.ts";
import { Oracle, oracleTables } from "./oracle.ts";

describe("the oracle that judges the graph", () => {
  it("agrees with the real Arvados SQL on the random worlds", () => {
    for (const world of readVectors("test/vectors/permissions/random.json.gz").worlds) {
      const oracle = new Oracle(oracleTables(graphRows(world).values()), world.config.roleGroupsVisibleToAll);
      const objects = worldObjects(world);
      for (const { uuid, is_admin } of world.users) {
        const readable = objects.filter((object) => oracle.check(uuid, object, NOW)).map((object) => object.uuid);
        assert.deepEqual(readable.sort(), world.expect.readable[uuid], `${world.name} ${uuid}`);
        const seen = (world.expect.deletable_seen[uuid] ?? []).every((owner) => oracle.seesDeletion(uuid, owner));
        assert.ok(seen, `${world.name} ${uuid}`);
        if (is_admin) continue;
        const deletable = new Set(world.expect.deletable_seen[uuid]);
        for (const object of objects) {
          if (object.owner !== null && !deletable.has(object.owner))
            assert.ok(!oracle.seesDeletion(uuid, object.owner));
        }
      }
    }
  });
});
