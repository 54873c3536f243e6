import assert from "node:assert/strict";
import { areCopies, type RoutedEvent, unitsOf } from "../../../bridge/streams/commit-units.ts";
import { EpochEndReader, positionOf } from "../../../bridge/takeover/stored-records.ts";
import { subjectsOf } from "../../../core/subjects.ts";
import { HEADER } from "../../../core/wire/wire.ts";
import { all } from "../../support/worlds/commits.ts";

const subjects = subjectsOf("zzzzz");
const frame = { epoch: 2, lsn: 0x16_b374_d848n, time: 0, revision: { epoch: 2, sequence: 7 }, maxBody: 1_000 };

function event(ordinal: number, copies: string[], moved?: RoutedEvent["moved"]): RoutedEvent {
  return {
    ordinal,
    subjects: copies,
    ...(moved ? { moved } : {}),
    event: {
      event_type: "update",
      object_uuid: "zzzzz-4zz18-collectionccccc",
      object_kind: "arvados#collection",
      object_owner_uuid: null,
      event_at: "",
      attributes: {},
    },
  };
}
const ordinals = (units: { headers: Record<string, string> }[][]) =>
  units.map((unit) => unit.map(({ headers }) => Number(headers[HEADER.ordinal])));
const parts = (units: { headers: Record<string, string> }[][]) =>
  units.map((unit) => unit.at(-1)?.headers[HEADER.part]);

describe("a commit's messages", async () => {
  it("are one unit without parts where that is possible, equal copies under one event id", async () => {
    const units = await all(unitsOf(frame, [event(0, ["a", "b"]), event(2, []), event(4, ["c"])], subjects, 3));
    assert.deepEqual(ordinals(units), [[0, 0, 4]]);
    assert.deepEqual(parts(units), [undefined]);
    assert.equal(units[0]?.[0]?.headers[HEADER.eventId], "16/B374D848:0");
    assert.equal(units[0]?.[1]?.headers[HEADER.eventId], "16/B374D848:0");
  });

  it("are numbered parts where they are too many, with the copies of an event together", async () => {
    const units = await all(unitsOf(frame, [event(0, ["a", "b"]), event(2, ["c", "d"]), event(4, ["e"])], subjects, 3));
    assert.deepEqual(ordinals(units), [
      [0, 0],
      [2, 2, 4],
    ]);
    assert.deepEqual(parts(units), ["1", "last"]);
  });

  it("split even one event that has more copies than a unit holds", async () => {
    const units = await all(unitsOf(frame, [event(0, ["a", "b", "c", "d"])], subjects, 3));
    assert.deepEqual(ordinals(units), [[0, 0, 0], [0]]);
    assert.deepEqual(parts(units), ["1", "last"]);
  });

  it("are numbered where they are copies of one event, and continue wherever the stream ends", async () => {
    const events = [event(0, []), event(2, ["a", "b", "c"])];
    const [whole = []] = await all(unitsOf(frame, events, subjects, 1_000));
    assert.ok(areCopies(whole));
    assert.deepEqual(
      whole.map(({ headers }) => headers[HEADER.copy]),
      ["1/3", "2/3", "3/3"],
    );
    for (let there = 1; there <= whole.length; there++) {
      const tail = new EpochEndReader(1);
      for (const [place, { subject, headers }] of whole.slice(0, there).entries()) {
        tail.add(place + 1, subject, positionOf({ get: (name) => headers[name] ?? "" }));
      }
      assert.equal(tail.last?.isWhole, there === whole.length);
      if (there === whole.length) break;
      const [rest = []] = await all(unitsOf(frame, events, subjects, 1_000, tail.last));
      assert.deepEqual(rest, whole.slice(there));
    }
  });

  it("are one unit where there are several events, or too many copies to send one by one", async () => {
    const many = Array.from({ length: 17 }, (_, place) => `s${place}`);
    for (const events of [[event(0, ["a", "b"]), event(2, ["c"])], [event(0, many)], [event(0, ["a"], "left")]]) {
      const units = await all(unitsOf(frame, events, subjects, 1_000));
      assert.deepEqual([units.length, areCopies(units[0] ?? [])], [1, false]);
    }
  });

  it("continue where the stream ends, without what it has", async () => {
    const events = [event(0, ["a"]), event(2, ["b", "c"]), event(4, ["d"])];
    const stored = { lsn: frame.lsn, ordinal: 2, subjects: new Set(["b"]), isWhole: false };
    const units = await all(unitsOf(frame, events, subjects, 3, stored));
    assert.deepEqual(
      units.map((unit) => unit.map(({ subject }) => subject)),
      [["c", "d"]],
    );
    assert.deepEqual(parts(units), ["last"]);
  });

  it("only name the object where an event is longer than nats-server accepts", async () => {
    const long = event(0, ["a"]);
    long.event.attributes = { uuid: "u", name: "n".repeat(2_000) };
    long.event.properties = { text: "x" };
    const [[message] = []] = await all(unitsOf(frame, [long], subjects, 10));
    const body = JSON.parse(String(message?.body)) as RoutedEvent["event"];
    assert.deepEqual([body.object_uuid, body.attributes, body.properties], [long.event.object_uuid, {}, undefined]);
  });

  it("say of a move which event was the last at the former owner", async () => {
    const [unit = []] = await all(unitsOf(frame, [event(0, ["old", "copy"], "left"), event(1, ["new"])], subjects, 10));
    const moved = unit[2];
    assert.equal(moved?.subject, subjects.moved("zzzzz-4zz18-collectionccccc"));
    assert.deepEqual(moved?.body, { left: "old", before: 2 });
  });

  it("say that the former owner is not known", async () => {
    const [unit = []] = await all(unitsOf(frame, [event(0, ["new"], "unknown")], subjects, 10));
    assert.deepEqual(unit[1]?.body, { left: null });
  });
});
