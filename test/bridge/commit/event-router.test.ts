import assert from "node:assert/strict";
import { CustomRate } from "../../../bridge/commit/custom-rate.ts";
import { EventRouter } from "../../../bridge/commit/event-router.ts";
import type { RowChange } from "../../../bridge/postgres/row.ts";
import { GraphRowSet } from "../../../bridge/rows/graph-row-set.ts";
import { type LogRow, logRow } from "../../../bridge/rows/log-row.ts";
import { subjectsOf } from "../../../core/subjects.ts";
import { C, G, graphOf, NOW, project, U, user } from "../../core/graph/cast.ts";
import { all, commitOf } from "../../support/worlds/commits.ts";

const FEW = Number.POSITIVE_INFINITY;

/** The project with `above` projects above it. Its uuid is as long as Arvados' are. */
const deep = (above: number) => `d${above}`.padEnd(15, "x");

/** A chain of projects below ann. */
function nested(count: number) {
  return Array.from({ length: count }, (_, i) => project(deep(i), i === 0 ? U("ann") : G(deep(i - 1))));
}

function creation(uuid: string, owner: string): { row: RowChange; log: LogRow } {
  const properties = JSON.stringify({ new_attributes: { uuid, owner_uuid: owner } });
  const log = logRow({ object_uuid: uuid, event_type: "create", event_at: "2026-11-25 01:02:03", properties });
  assert.ok(log);
  return { row: { table: "collections", op: "insert", id: 1, row: { id: "1", uuid, owner_uuid: owner } }, log };
}

describe("an event about an object", () => {
  const tooDeep: string[] = [];
  const router = new EventRouter({
    graph: graphOf(FEW, user("ann"), ...nested(120)),
    subjects: subjectsOf("zzzzz"),
    lookUpRows: async () => new Map(),
    lookUpLastOwners: async () => new Map(),
    silent: null,
    rate: new CustomRate({ allowance: FEW }),
    onDropped: () => assert.fail("no custom event"),
    onReduced: (error) => assert.fail(String(error)),
    onTooDeep: (uuid) => void tooDeep.push(uuid),
  });

  async function subjectsIn(owner: string) {
    const { row, log } = creation(C("c"), owner);
    const counts = { events: 0, untrue: 0 };
    const routed = await all(
      router.route(commitOf([row], [log]), { state: new GraphRowSet("zzzzz"), at: NOW }, counts),
    );
    return { counts, subjects: routed.flatMap(({ subjects }) => subjects) };
  }

  beforeEach(() => {
    tooDeep.length = 0;
  });

  it("has a subject, however many projects are above it that fit into one", async () => {
    const { counts, subjects } = await subjectsIn(G(deep(100)));
    assert.deepEqual(counts, { events: 1, untrue: 0 });
    assert.equal(subjects.length, 1);
    assert.deepEqual(tooDeep, []);
  });

  it("is reported where the object is nested too deep for a subject", async () => {
    const { counts, subjects } = await subjectsIn(G(deep(119)));
    assert.deepEqual(counts, { events: 0, untrue: 0 });
    assert.deepEqual(subjects, []);
    assert.deepEqual(tooDeep, [C("c")]);
  });
});

describe("a custom event about an object that has moved since", () => {
  const [from, to] = [G("from"), G("to")];
  const written = (event_type: string, properties: object): LogRow => {
    const text = JSON.stringify(properties);
    const log = logRow({ object_uuid: C("c"), event_type, event_at: "2026-11-25 01:02:03", properties: text });
    assert.ok(log);
    return log;
  };

  it("does not hide that the object leaves its former place", async () => {
    const row = { id: "1", uuid: C("c"), owner_uuid: to };
    const router = new EventRouter({
      graph: graphOf(FEW, user("ann"), project("from", U("ann")), project("to", U("ann"))),
      subjects: subjectsOf("zzzzz"),
      // PostgreSQL already has the move, which is committed after the custom event.
      lookUpRows: async () => new Map([[C("c"), row]]),
      lookUpLastOwners: async () => new Map([[C("c"), from]]),
      silent: null,
      rate: new CustomRate({ allowance: FEW }),
      onDropped: () => assert.fail("the allowance is enough"),
      onReduced: (error) => assert.fail(String(error)),
      onTooDeep: () => assert.fail("nothing is deep"),
    });
    const view = { state: new GraphRowSet("zzzzz"), at: NOW };
    const route = (commit: ReturnType<typeof commitOf>) => all(router.route(commit, view, { events: 0, untrue: 0 }));
    await route(commitOf([], [written("file_download", {})]));
    const move = written("update", { old_attributes: { owner_uuid: from }, new_attributes: { owner_uuid: to } });
    const routed = await route(commitOf([{ table: "collections", op: "update", id: 1, row }], [move], { lsn: 2n }));
    assert.deepEqual(
      routed.map(({ moved, subjects }) => [moved, subjects.length]),
      [
        ["left", 1],
        [undefined, 1],
      ],
    );
  });
});
