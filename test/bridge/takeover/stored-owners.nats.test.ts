import assert from "node:assert/strict";
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { headers } from "@nats-io/nats-core";
import { lookUpLastOwners } from "../../../bridge/takeover/stored-owners.ts";
import { formatLsn, type Lsn } from "../../../core/lsn.ts";
import { HEADER } from "../../../core/wire/wire.ts";
import { startNats, type TestNats } from "../../support/servers/nats.ts";

const USER = "zzzzz-tpzed-000000000000001";
const project = (name: string) => `zzzzz-j7d0g-${name.padEnd(15, "x")}`;
const collection = (name: string) => `zzzzz-4zz18-${name.padEnd(15, "x")}`;
const END = 1_000n;

describe("the owner that an object had before a commit, by RECORDS", () => {
  let nats: TestNats;
  let js: JetStreamClient;
  let jsm: JetStreamManager;

  before(async () => {
    nats = await startNats();
    const nc = await nats.connect("bridge", "STORE");
    [js, jsm] = [jetstream(nc), await jetstreamManager(nc)];
  });
  after(() => nats?.[Symbol.asyncDispose]());

  async function publish(uuid: string, lsn: Lsn, owner: string, event_type = "update") {
    const subject = nats.subjects.record(`${USER}.${project(owner)}.${uuid}.collections`);
    const position = headers();
    position.set(HEADER.lsn, formatLsn(lsn));
    await js.publish(subject, JSON.stringify({ event_type }), { headers: position });
  }
  const ask = async (uuid: string, before: Lsn) =>
    (await lookUpLastOwners(jsm, nats.subjects, [uuid, collection("none")], before)).get(uuid);

  it("is the owner of its last event", async () => {
    const uuid = collection("last");
    await publish(uuid, 10n, "one");
    await publish(uuid, 20n, "one", "left");
    await publish(uuid, 20n, "two");
    assert.equal(await ask(uuid, END), project("two"));
  });

  it("is not the owner of a later commit's event, also where that hides an earlier one on the same subject", async () => {
    const uuid = collection("later");
    await publish(uuid, 10n, "one");
    for (const lsn of [20n, 30n, 40n]) await publish(uuid, lsn, "one");
    await publish(uuid, 50n, "one", "left");
    await publish(uuid, 50n, "two");
    assert.equal(await ask(uuid, 15n), project("one"));
    assert.equal(await ask(uuid, 50n), project("one"));
    assert.equal(await ask(uuid, END), project("two"), "negative control: every event counts");
  });

  it("is that of the last commit, whatever the order in which a repeat has stored the events", async () => {
    const uuid = collection("repeated");
    await publish(uuid, 30n, "three");
    await publish(uuid, 10n, "one");
    await publish(uuid, 20n, "two");
    assert.equal(await ask(uuid, 25n), project("two"));
    assert.equal(await ask(uuid, END), project("three"));
  });

  it("is unknown if the object left and nothing followed, if there are only later events, or very many of them", async () => {
    const uuid = collection("unknown");
    await publish(uuid, 10n, "one");
    await publish(uuid, 20n, "one", "left");
    assert.equal(await ask(uuid, END), undefined);
    assert.equal(await ask(uuid, 10n), undefined);
    const busy = collection("busy");
    for (let lsn = 10n; lsn < 40n; lsn++) await publish(busy, lsn, "one");
    assert.equal(await ask(busy, 39n), project("one"));
    assert.equal(await ask(busy, 11n), undefined);
  });
});
