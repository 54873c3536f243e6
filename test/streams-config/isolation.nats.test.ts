import assert from "node:assert/strict";
import { headers, type Msg, type NatsConnection } from "@nats-io/nats-core";
import { until } from "../../dev/testing/until.ts";
import { messageCount, startNats, type TestNats } from "../support/servers/nats.ts";
import { type ConnectOpts, startTestCallout, type TestUser } from "../support/worlds/callout.ts";

const root = "arvados.zzzzz";
const OWN_LOG = `${root}.log.zzzzz-dz642-mine00000000000.stdout.txt`;
const OTHER_LOG = `${root}.log.zzzzz-dz642-other0000000000.stdout.txt`;
const INBOX = "_INBOX.zzzzz-gj3su-token0000000000._";

/**
 * A container's token: may write its own log, hear all events, and nothing else. The token's text says where it is put;
 * `spy` hears everything in STORE.
 */
function container({ auth_token: token }: ConnectOpts): TestUser | null {
  if (token === "spy") return { name: "spy", account: "STORE", publish: ["nothing"], subscribe: [`${root}.>`] };
  const account = token?.split(" ")[0];
  if (account === undefined) return null;
  return {
    name: token ?? "",
    account,
    publish: [OWN_LOG, "$SYS.REQ.USER.AUTH"],
    subscribe: [`${INBOX}.>`, `${root}.live.>`, `${root}.queue.>`, "$SYS.REQ.USER.AUTH"],
  };
}

/** Everything a subscription has got so far. */
function collect(connection: NatsConnection, subject: string): Msg[] {
  const got: Msg[] = [];
  connection.subscribe(subject, {
    callback: (error, message) => {
      if (error) throw error;
      got.push(message);
    },
  });
  return got;
}

describe("accounts on a server", () => {
  let nats: TestNats;
  let bridge: NatsConnection;
  let gateway: NatsConnection;
  before(async () => {
    nats = await startNats();
    await startTestCallout(nats, container);
    bridge = await nats.connect("bridge", "STORE");
    gateway = await nats.connect("gateway", "STORE");
  });
  after(() => nats[Symbol.asyncDispose]());

  const user = (token = "APP") => nats.connectUser({ token, inboxPrefix: INBOX });
  /** The sequence of a message stored just now: one more than what had been stored, by whomever. */
  const stored = async (connection: NatsConnection, subject: string): Promise<number> =>
    ((await connection.request(subject, "{}")).json() as { seq: number }).seq;

  it("bring a record to users as RECORDS republished it, with its sequence and the one before it on its subject", async () => {
    const alice = await user();
    const events = collect(alice, `${root}.live.>`);
    await alice.flush();
    const first = await stored(bridge, `${root}.rec.user.object.collections`);
    const second = await stored(bridge, `${root}.rec.user.object.collections`);
    await stored(bridge, `${root}.moved.object`);
    await stored(bridge, `${root}.rec.user.last.collections`);
    // What RECORDS republishes follows its acknowledgement, in order.
    await until(() => events.length === 3, "three events");
    assert.deepEqual(
      events.map(({ subject, headers }) => [
        subject,
        headers?.get("Nats-Stream"),
        headers?.get("Nats-Sequence"),
        headers?.get("Nats-Last-Sequence"),
      ]),
      [
        [`${root}.live.user.object.collections`, "RECORDS", String(first), "0"],
        [`${root}.live.user.object.collections`, "RECORDS", String(second), String(first)],
        [`${root}.live.user.last.collections`, "RECORDS", String(second + 2), "0"],
      ],
      "and not where the object moved from",
    );
  });

  it("reveal to a container the last sequence of another container's log, and no more: nats-server cannot prevent it", async () => {
    const mine = await user();
    const sequence = await stored(await nats.connect("bridge", "STORE"), OTHER_LOG);
    const asked = headers();
    asked.set("Nats-Expected-Last-Subject-Sequence", "0");
    asked.set("Nats-Expected-Last-Subject-Sequence-Subject", OTHER_LOG);
    const { error } = (await mine.request(OWN_LOG, "x", { headers: asked, timeout: 5_000 })).json() as {
      error?: { description: string };
    };
    assert.equal(error?.description, `wrong last sequence: ${sequence}`);
  });

  it("bring queue entries to users", async () => {
    const dispatcher = await user();
    const entries = collect(dispatcher, `${root}.queue.>`);
    await dispatcher.flush();
    await stored(bridge, `${root}.queue.container`);
    await until(() => entries.length > 0, "a queue entry");
    assert.deepEqual(
      entries.map(({ subject }) => subject),
      [`${root}.queue.container`],
    );
  });

  it("take a container's log line into LOGS, and bring the acknowledgement back", async () => {
    const alice = await user();
    const before = await messageCount(gateway, "LOGS");
    const answer = (await alice.request(OWN_LOG, "hello\n")).json() as { stream: string };
    assert.equal(answer.stream, "LOGS");
    assert.equal(await messageCount(gateway, "LOGS"), before + 1);
  });

  /**
   * Names another stream's subject as reply, so that the acknowledgement lands there; then proves by sequences what got in.
   * The second log line is a fence: when it is acknowledged, the first one's acknowledgement has been delivered.
   */
  const attack = async (account: "APP" | "STORE", target: string, stored: () => Promise<number>): Promise<number> => {
    const attacker = await user(account);
    const before = await stored();
    attacker.publish(OWN_LOG, "forged", { reply: `${root}.${target}` });
    await attacker.request(OWN_LOG, "fence");
    return (await stored()) - before - 1;
  };
  const records = () => stored(bridge, `${root}.rec.user.fence.collections`);
  const queue = () => stored(bridge, `${root}.queue.fence`);
  const targets: [target: string, stored: () => Promise<number>][] = [
    ["rec.user.object.collections", records],
    ["moved.object", records],
    ["queue.container", queue],
  ];
  for (const [target, count] of targets) {
    it(`keep a user from writing ${target} by naming it as reply`, async () => {
      assert.equal(await attack("APP", target, count), 0);
    });

    it(`are what keeps him from it: inside STORE he could write ${target}`, async () => {
      assert.equal(await attack("STORE", target, count), 1);
    });
  }

  it("keep a user from writing another container's log, or the services', by naming it as reply", async () => {
    const spy = await user("spy");
    const heard = collect(spy, `${root}.>`);
    await spy.flush();
    const attacker = await user();
    const replies = [OTHER_LOG, `${root}.sys.service.host.error`];
    for (const reply of replies) attacker.publish(OWN_LOG, "forged", { reply });
    await attacker.request(OWN_LOG, "fence");
    const own = `${root}.sys.bridge.host.info`;
    bridge.publish(own, "the spy hears this");
    await until(() => heard.some(({ subject }) => subject === own), "a service's own line");
    assert.deepEqual(new Set(heard.map(({ subject }) => subject)), new Set([OWN_LOG, own]));
  });

  it("leave to such a user a message on `live` that has no headers, which clients drop", async () => {
    const alice = await user();
    const events = collect(alice, `${root}.live.>`);
    await alice.flush();
    const attacker = await user();
    attacker.publish(OWN_LOG, "forged", { reply: `${root}.live.user.object.collections` });
    await attacker.request(OWN_LOG, "fence");
    await until(() => events.length > 0, "the forged event");
    assert.deepEqual(
      events.map(({ headers }) => headers?.get("Nats-Stream") ?? ""),
      [""],
    );
  });

  it("let users neither see a login request nor make one, while in CORE they would see it", async () => {
    const alice = await user("APP alice");
    const seen = collect(alice, "$SYS.REQ.USER.AUTH");
    const control = await user("CORE control");
    const seenInCore = collect(control, "$SYS.REQ.USER.AUTH");
    await Promise.all([alice.flush(), control.flush()]);
    await user("APP bob");
    alice.publish("$SYS.REQ.USER.AUTH", "not a login request", { reply: `${INBOX}.answer` });
    await Promise.all([alice.flush(), control.flush()]);
    assert.equal(
      seenInCore.length,
      1,
      "bob's login and nothing of alice's: what she publishes does not arrive where the callout listens",
    );
    assert.deepEqual(
      seen.map((message) => message.string()),
      ["not a login request"],
      "nothing but her own message, which stayed in APP",
    );
  });

  it("let no user of CORE create one either, whatever the user's own permissions are", async () => {
    const control = await user("CORE control");
    await assert.rejects(control.request("$SYS.REQ.USER.AUTH", "x"), /permissions violation/i);
    await assert.rejects(control.request(OWN_LOG, "x"), /no responders/i, "negative control: the other one passes");
  });
});
