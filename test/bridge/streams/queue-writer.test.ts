import assert from "node:assert/strict";
import type { RowChange } from "../../../bridge/postgres/row.ts";
import { QueueWriter } from "../../../bridge/streams/queue-writer.ts";
import { Barrier } from "../../../core/barrier/bridge-side.ts";
import { subjectsOf } from "../../../core/subjects.ts";

const at = (sequence: number) => ({ epoch: 1, sequence });
const CONTAINER = (n: number) => `zzzzz-dz642-${String(n).padStart(15, "0")}`;
const row = (n: number, state = "Queued"): RowChange => ({
  ...({ table: "containers", op: "update", id: n } as const),
  row: { id: String(n), uuid: CONTAINER(n), state, priority: "1", locked_by_uuid: null },
});

function writer(limit?: number) {
  const barrier = new Barrier();
  const stored: string[] = [];
  const publisher = {
    push([message]: readonly { subject: string }[], onStored?: () => void) {
      stored.push(String(message?.subject.slice(-1)));
      onStored?.();
      return 0;
    },
    acknowledged: async () => {},
  };
  const queue = new QueueWriter(publisher, subjectsOf("zzzzz"), barrier, limit);
  const counts = { opened: 0, closed: 0 };
  const take = (behind: number, ...rows: RowChange[]) =>
    queue.enqueue(
      rows,
      at(behind),
      () => void counts.opened++,
      () => void counts.closed++,
    );
  return { barrier, stored, queue, take, counts };
}

describe("queue entries", () => {
  it("wait in order until the removals before them are enforced, and count as open meanwhile", () => {
    const { barrier, stored, queue, take, counts } = writer();
    barrier.cut(at(1));
    take(1, row(1));
    assert.deepEqual(stored, ["1"]);
    take(2, row(2));
    take(3, row(3), row(1, "Locked"));
    assert.deepEqual([stored, queue.waiting, counts], [["1"], 3, { opened: 4, closed: 1 }]);
    barrier.cut(at(2));
    queue.release();
    assert.deepEqual(stored, ["1", "2"]);
    barrier.cut(at(9));
    queue.release();
    assert.deepEqual([stored, queue.waiting, counts], [["1", "2", "3", "1"], 0, { opened: 4, closed: 4 }]);
  });

  it("of the start wait too", () => {
    const { barrier, stored, queue } = writer();
    const entry = { uuid: CONTAINER(1), state: "Queued", priority: "1", locked_by_uuid: null };
    queue.bringIntoLine(new Map(), new Map([[entry.uuid, entry]]), at(5));
    assert.deepEqual(stored, []);
    barrier.cut(at(5));
    queue.release();
    assert.deepEqual(stored, ["1"]);
  });

  it("delay replication when too many wait, until the barrier opens", async () => {
    const { barrier, queue, take } = writer(1);
    take(1, row(1));
    await queue.room();
    take(1, row(2));
    let hasRoom = false;
    const waits = queue.room().then(() => {
      hasRoom = true;
    });
    await Promise.resolve();
    assert.ok(!hasRoom);
    barrier.cut(at(1));
    queue.release();
    await waits;
  });
});
