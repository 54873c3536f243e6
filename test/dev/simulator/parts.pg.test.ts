/** The simulator's uuids, clock and times, and a pool of the caller's. */
import assert from "node:assert/strict";
import pg from "pg";
import { createSimulator } from "../../../dev/simulator/index.ts";
import { auditTime, createClock, millisecondsOf, timestampOf } from "../../../dev/simulator/timestamps.ts";
import { createUuidMaker } from "../../../dev/simulator/uuid-maker.ts";
import { CLUSTER, freshDatabase } from "../../support/servers/postgres.ts";

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
