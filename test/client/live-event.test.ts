import { strict as assert } from "node:assert";
import { createSeen, readEvent } from "../../client/live-event.ts";
import { message } from "./fake-nats.ts";

const SUBJECT = "arvados.zzzzz.live.alice.c1.collections";
const BODY = JSON.stringify({ event_type: "update", object_uuid: "c1" });
const HEADERS = { "Nats-Stream": "RECORDS", "Nats-Sequence": "7", "Arvados-Event-Id": "0/1:0" };

describe("a message on a live subject", () => {
  it("is an event when RECORDS republished it", () => {
    const read = readEvent(message(SUBJECT, BODY, { ...HEADERS, "Arvados-Commit-Time": "2026-11-25T00:00:00Z" }));
    assert.equal(read?.id, "0/1:0");
    assert.equal(read?.sequence, 7);
    assert.equal(read?.commitTime, "2026-11-25T00:00:00Z");
    assert.equal(read?.revision, null);
    assert.equal(read?.event.object_uuid, "c1");
  });

  it("is dropped without the stream's headers, or with another stream's", () => {
    assert.equal(readEvent(message(SUBJECT, BODY)), null);
    assert.equal(readEvent(message(SUBJECT, BODY, { ...HEADERS, "Nats-Stream": "LOGS" })), null);
    assert.equal(readEvent(message(SUBJECT, BODY, { "Nats-Stream": "RECORDS" })), null);
    assert.equal(readEvent(message(SUBJECT, BODY, { ...HEADERS, "Nats-Sequence": "x" })), null);
    assert.equal(readEvent(message(SUBJECT, BODY, { ...HEADERS, "Nats-Sequence": "0" })), null);
  });

  it("is dropped when its body is no event", () => {
    for (const body of ["", "{", "null", "[]", "7", '{"event_type":1}']) {
      assert.equal(readEvent(message(SUBJECT, body, HEADERS)), null, body);
    }
  });

  it("counts once, whatever the subjects it came by", () => {
    const seen = createSeen(2);
    assert.deepEqual(["a", "a", "b", "a"].map(seen.firstTime), [true, false, true, false]);
    seen.firstTime("c");
    assert.equal(seen.firstTime("a"), true, "the memory is bounded: the oldest is forgotten");
  });
});
