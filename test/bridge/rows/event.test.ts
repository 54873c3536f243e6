import assert from "node:assert/strict";
import type { Commit } from "../../../bridge/commit/commit.ts";
import type { RowChange } from "../../../bridge/postgres/row.ts";
import { claimsUnknownMove, eventsOf as groupOf, type LookedUp, objectToLookUp } from "../../../bridge/rows/event.ts";
import { GraphRowSet } from "../../../bridge/rows/graph-row-set.ts";
import { LastOwners } from "../../../bridge/rows/last-owners.ts";
import { type LogRow, logRow } from "../../../bridge/rows/log-row.ts";
import { commitOf } from "../../support/worlds/commits.ts";

const COLLECTION = "zzzzz-4zz18-collectionccccc";
const PROJECT = "zzzzz-j7d0g-projectpppppppp";
const VICTIM = "zzzzz-j7d0g-victimvictimvic";
const ELSEWHERE = "zzzzz-j7d0g-elsewhereeeeeee";

function log(event_type: string, properties: unknown, object_uuid = COLLECTION): LogRow {
  const row = logRow({
    object_uuid,
    event_type,
    event_at: "2026-11-25 01:02:03.456789",
    properties: typeof properties === "string" ? properties : JSON.stringify(properties),
  });
  assert.ok(row);
  return row;
}
/** The events in one list, and how many log rows are not true. */
function eventsOf(
  { rows, logs }: Commit,
  state: GraphRowSet,
  { lookedUp = new Map(), owners = new LastOwners() }: { lookedUp?: LookedUp; owners?: LastOwners } = {},
) {
  const groups = [...logs].map((log) => groupOf(log, { rows, state, owners, lookedUp }));
  return { events: groups.flat(), untrue: groups.filter((group) => group.length === 0).length };
}
const commit = commitOf;
const row = { id: "9", uuid: COLLECTION, owner_uuid: PROJECT, trash_at: null };
const changed: RowChange = { table: "collections", op: "update", id: 9, row };
const gone: RowChange = { table: "collections", op: "delete", id: 9, row: null };
const attributes = { id: 9, uuid: COLLECTION, owner_uuid: PROJECT, name: "n", manifest_text: "secret blocks" };

describe("record events", () => {
  const state = new GraphRowSet("zzzzz");

  it("have the attributes of the log row, without manifests", () => {
    const { events } = eventsOf(
      commit([changed], [log("update", { old_attributes: attributes, new_attributes: attributes })]),
      state,
    );
    assert.deepEqual(
      events.map(({ event }) => event),
      [
        {
          event_type: "update",
          object_uuid: COLLECTION,
          object_kind: "arvados#collection",
          object_owner_uuid: PROJECT,
          event_at: "2026-11-25T01:02:03.456Z",
          attributes: { uuid: COLLECTION, name: "n", owner_uuid: PROJECT },
        },
      ],
    );
  });

  it("take the owner from the object's own row, not from what the log row claims", () => {
    const claimed = { ...attributes, owner_uuid: ELSEWHERE };
    const { events } = eventsOf(commit([changed], [log("update", { new_attributes: claimed })]), state);
    assert.equal(events[0]?.facts.owner, PROJECT);
    assert.equal(events[0]?.event.object_owner_uuid, PROJECT);
  });

  for (const [what, logRow] of Object.entries({
    "a log row without a change behind it": log("update", { new_attributes: attributes }, PROJECT),
    "a log row of another kind than the change": log("create", { new_attributes: attributes }),
    "a custom event about an object that is not there": log("file_download", { reqPath: "/" }, PROJECT),
    "properties that are not JSON": log("update", "---\n- yaml\n"),
    "properties that are no object": log("update", "[]"),
    "a kind nobody knows": log("update", { new_attributes: attributes }, "zzzzz-00000-collectionccccc"),
    "a delete whose row did not go": log("delete", { old_attributes: attributes }),
  })) {
    it(`do not come from ${what}, which is counted`, () => {
      assert.deepEqual(eventsOf(commit([changed], [logRow]), state), { events: [], untrue: 1 });
    });
  }

  it("of a deletion find the object by the number of the deleted row", () => {
    const { events } = eventsOf(commit([gone], [log("delete", { old_attributes: attributes })]), state);
    assert.equal(events[0]?.deleted, true);
    assert.equal(events[0]?.facts.owner, PROJECT);
  });

  describe("of a move", () => {
    const moved: RowChange = { table: "collections", op: "update", id: 9, row: { ...row, owner_uuid: ELSEWHERE } };
    const claim = (owner_uuid: string) =>
      log("update", {
        old_attributes: { ...attributes, owner_uuid },
        new_attributes: { ...attributes, owner_uuid: ELSEWHERE },
      });
    const known = new LastOwners();
    known.note(COLLECTION, PROJECT);

    for (const [what, claimed] of Object.entries({ "the former owner": PROJECT, "another owner": VICTIM })) {
      it(`say at the former owner that the object has left, and not where it is now, though the log row names ${what}`, () => {
        const { events } = eventsOf(commit([moved], [claim(claimed)]), state, { owners: known });
        const [left, present] = events;
        assert.equal(left?.event.event_type, "left");
        assert.equal(left?.left, PROJECT);
        assert.ok(!JSON.stringify(left?.event).includes(ELSEWHERE));
        assert.equal(present?.event.event_type, "update");
        assert.equal(present?.facts.owner, ELSEWHERE);
      });
    }

    it("say at no owner that it has left where the former owner is not known, whatever the log row claims", () => {
      const one = commit([moved], [claim(VICTIM)]);
      const owners = new LastOwners();
      assert.deepEqual(
        [...one.logs].map((its) => claimsUnknownMove(its, { rows: one.rows, state, owners })),
        [true],
      );
      const { events } = eventsOf(one, state, { owners });
      assert.deepEqual(
        events.map(({ event, gap }) => [event.event_type, gap]),
        [["update", true]],
      );
    });
  });

  it("are not made for an object that one transaction created and deleted", () => {
    const rows: RowChange[] = [{ ...changed, op: "insert" }, changed, gone];
    const logs = [
      log("create", { new_attributes: attributes }),
      log("update", { old_attributes: attributes, new_attributes: attributes }),
      log("delete", { old_attributes: attributes }),
    ];
    assert.deepEqual(eventsOf(commit(rows, logs), state), { events: [], untrue: 3 });
  });

  it("are only the deletion for an object that one transaction changed and deleted", () => {
    const logs = [
      log("update", { old_attributes: attributes, new_attributes: attributes }),
      log("delete", { old_attributes: attributes }),
    ];
    const { events } = eventsOf(commit([changed, gone], logs), state);
    assert.deepEqual(
      events.map(({ event }) => event.event_type),
      ["delete"],
    );
  });

  it("of a deletion are not routed by an owner that only the log row names", () => {
    const owners = new LastOwners();
    owners.note(COLLECTION, PROJECT);
    const forged = log("delete", { old_attributes: { ...attributes, owner_uuid: VICTIM } });
    assert.deepEqual(eventsOf(commit([gone], [forged]), state, { owners }), { events: [], untrue: 1 });
  });

  describe("of custom types", () => {
    const custom = log("my_event", { text: "hello" });

    it("are routed by the object's row, which is looked up, and marked untrusted", () => {
      const one = commit([], [custom]);
      assert.equal(objectToLookUp(custom, one.rows), COLLECTION);
      const { events } = eventsOf(one, state, { lookedUp: new Map([[COLLECTION, row]]) });
      assert.equal(events[0]?.facts.owner, PROJECT);
      assert.equal(events[0]?.event.untrusted, true);
      assert.deepEqual(events[0]?.event.properties, { text: "hello" });
    });

    it("leave out properties that are too long, or YAML", () => {
      for (const properties of [{ text: "x".repeat(20_000) }, "---\ntext: hello\n"]) {
        const { events } = eventsOf(commit([changed], [log("my_event", properties)]), state);
        assert.equal(events.length, 1);
        assert.equal(events[0]?.event.properties, undefined);
      }
    });
  });
});
