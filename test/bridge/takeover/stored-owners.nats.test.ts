import assert from "node:assert/strict";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { lookUpLastOwners } from "../../../bridge/takeover/stored-owners.ts";
import { startNats, type TestNats } from "../../support/servers/nats.ts";

const USER = "zzzzz-tpzed-000000000000001";
const project = (name: string) => `zzzzz-j7d0g-${name.padEnd(15, "x")}`;
const OBJECT = "zzzzz-4zz18-000000000000001";
const OTHER = "zzzzz-4zz18-000000000000002";

describe("the owner that an object had last, by RECORDS", () => {
  let nats: TestNats;
  let ask: (uuid: string, believed: { upTo: number; since: number }) => Promise<string | undefined>;
  const sequences: Record<string, number> = {};

  before(async () => {
    nats = await startNats();
    const nc = await nats.connect("bridge", "STORE");
    const jsm = await jetstreamManager(nc);
    const js = jetstream(nc);
    const publish = async (name: string, owner: string, uuid = OBJECT, event_type = "update") => {
      const subject = nats.subjects.record(`${USER}.${project(owner)}.${uuid}.collections`);
      sequences[name] = (await js.publish(subject, JSON.stringify({ event_type }))).seq;
    };
    await publish("first", "one");
    // Behind a gap: it moved, came back, and moved on, by commits that come again.
    await publish("moved", "two");
    await publish("left", "one", OBJECT, "left");
    await publish("other", "two", OTHER);
    sequences.leader = (await js.publish(nats.subjects.recordsLeader, "{}")).seq;
    ask = async (uuid, believed) =>
      (await lookUpLastOwners(jsm, nats.subjects, [uuid, project("none")], believed)).get(uuid);
  });
  after(() => nats?.[Symbol.asyncDispose]());

  it("is that of the last event before a gap, also where an event behind the gap has the same subject", async () => {
    const believed = { upTo: Number(sequences.first), since: Number(sequences.leader) };
    assert.equal(await ask(OBJECT, believed), project("one"));
    assert.equal(await ask(OTHER, believed), undefined, "an object of which only the future is known");
    assert.equal(await ask(OBJECT, { upTo: 0, since: Number(sequences.leader) }), undefined);
  });

  it("is that of the very last event where there is no gap (negative control)", async () => {
    const all = Number(sequences.leader);
    assert.equal(await ask(OBJECT, { upTo: all, since: all }), undefined, "it has left");
    assert.equal(await ask(OTHER, { upTo: all, since: all }), project("two"));
  });

  it("is that of an event of this term, if there is one", async () => {
    const nc = await nats.connect("bridge", "STORE");
    const subject = nats.subjects.record(`${USER}.${project("three")}.${OBJECT}.collections`);
    await jetstream(nc).publish(subject, JSON.stringify({ event_type: "update" }));
    const believed = { upTo: Number(sequences.first), since: Number(sequences.leader) };
    assert.equal(await ask(OBJECT, believed), project("three"));
  });
});
