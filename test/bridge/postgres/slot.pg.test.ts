import assert from "node:assert/strict";
import { withClient } from "../../../bridge/postgres/preflight.ts";
import { ensureSlot } from "../../../bridge/postgres/slot.ts";
import { type FreshDatabase, freshDatabase } from "../../support/servers/postgres.ts";

describe("the replication slot", () => {
  let db: FreshDatabase;
  before(async () => {
    db = await freshDatabase();
  });
  after(() => db?.drop());
  const ensure = (isUnreadable: boolean) =>
    withClient(db.config, (client) => ensureSlot(client, "slot_test", isUnreadable));

  it("is created where it is missing, kept where it exists, and created again where PostgreSQL cannot decode what it keeps", async () => {
    const made = await ensure(false);
    assert.equal(made.isNew, true);
    assert.deepEqual(await ensure(false), { confirmed: made.confirmed, isNew: false });
    await db.query("SELECT pg_logical_emit_message(false, 'fill', 'x')");
    const again = await ensure(true);
    assert.equal(again.isNew, true, "so that a new epoch begins");
    assert.ok(again.confirmed > made.confirmed, "it keeps nothing of before");
  });
});
