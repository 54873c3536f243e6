import { strict as assert } from "node:assert";
import { type Client, createClient } from "../../client/client.ts";
import type { LiveEvent } from "../../client/live-event.ts";
import type { MsgLike } from "../../client/nats-like.ts";
import type { TailEnd } from "../../client/tail-state.ts";
import type { Timers } from "../../client/timers.ts";
import { CLOSE_CODES, type CloseName } from "../../core/close-codes.ts";
import type { TailRequest } from "../../core/wire/wire.ts";
import { type FakeNats, fakeNats, message } from "./fake-nats.ts";

const TOKEN_UUID = "zzzzz-gj3su-077z32aux8dg2s1";
const SID = "Session0Session0";
const ALICE = "arvados.zzzzz.live.alice.>";
const SHARED = "arvados.zzzzz.live.bob.project.>";
const NOTICE = `arvados.zzzzz.notice.${TOKEN_UUID}.${SID}`;
const API = `arvados.zzzzz.api.${TOKEN_UUID}.${SID}`;

/** Lets everything that is ready run. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

type World = {
  nc: FakeNats;
  client: Client;
  grants: string[];
  revision: number;
  forgotten: boolean;
  timers: (() => void)[];
};

async function world(login: string[]): Promise<World> {
  const nc = fakeNats(login);
  const timers: (() => void)[] = [];
  const held: Timers = {
    after(ms, task) {
      if (ms === 0) {
        queueMicrotask(task);
        return () => {};
      }
      timers.push(task);
      return () => timers.splice(timers.indexOf(task) >>> 0, 1);
    },
  };
  const made: World = { nc, grants: login, revision: 5, forgotten: false, timers, client: undefined as never };
  nc.answer = (subject) => {
    if (subject === `${API}.more`) return made.forgotten ? refusal("tail.unknown") : message("", "{}");
    assert.equal(subject, `${API}.whoami`);
    const grants = { subscribe: [NOTICE, ...made.grants], publish: [] };
    return message("", JSON.stringify({ user_uuid: "alice", grants, revision: `1.${made.revision}` }));
  };
  made.client = await createClient({
    nc,
    clusterId: "zzzzz",
    token: `v2/${TOKEN_UUID}/secret`,
    sid: SID,
    timers: held,
  });
  return made;
}

function refusal(fault: string): MsgLike {
  return message("", "", { "Nats-Service-Error": fault, "Nats-Service-Error-Code": "403" });
}

function event(nc: FakeNats, subject: string, id: string, eventType = "update"): number {
  const body = JSON.stringify({ event_type: eventType, object_uuid: "c1" });
  const headers = { "Nats-Stream": "RECORDS", "Nats-Sequence": "1", "Arvados-Event-Id": id };
  return nc.deliver(`arvados.zzzzz.live.${subject}`, body, headers);
}

function notify(nc: FakeNats, name: CloseName, revision: number): void {
  nc.deliver(NOTICE, JSON.stringify({ notice: name, ...CLOSE_CODES[name], revision: `1.${revision}` }));
}

describe("a client's events", () => {
  it("come from all granted patterns, each once, and only from RECORDS", async () => {
    const { nc, client } = await world([ALICE, SHARED]);
    const got: LiveEvent[] = [];
    const events = client.events({ onEvent: (e) => got.push(e) });
    await events.ready;
    assert.deepEqual(events.patterns(), [ALICE, SHARED]);
    event(nc, "alice.c1.collections", "0/1:0");
    event(nc, "bob.project.c1.collections", "0/1:0");
    event(nc, "bob.project.c1.collections", "0/1:1");
    nc.deliver("arvados.zzzzz.live.alice.c1.collections", "forged");
    assert.deepEqual(
      got.map((e) => e.id),
      ["0/1:0", "0/1:1"],
    );
    assert.equal(events.dropped(), 1);
  });

  it("can be narrowed to a resource", async () => {
    const { nc, client } = await world([ALICE]);
    const got: string[] = [];
    await client.events({ resource: "groups", onEvent: (e) => got.push(e.subject) }).ready;
    event(nc, "alice.c1.collections", "0/1:0");
    event(nc, "alice.p.groups", "0/1:1");
    assert.deepEqual(got, ["arvados.zzzzz.live.alice.p.groups"]);
  });

  it("grow with a notice: a new login, new grants, new subscriptions", async () => {
    const made = await world([ALICE]);
    const { nc, client } = made;
    const events = client.events({ onEvent: () => {} });
    await events.ready;
    made.grants = nc.nextLogin = [ALICE, SHARED];
    made.revision = 6;
    notify(nc, "permissionsGrown", 6);
    await settle();
    assert.equal(nc.logins, 1);
    assert.deepEqual(events.patterns(), [ALICE, SHARED]);
  });

  it("shrink with a cut: what is refused at the reconnect is given up, without a further login", async () => {
    const made = await world([ALICE, SHARED]);
    const { nc, client } = made;
    const events = client.events({ onEvent: () => {} });
    await events.ready;
    made.grants = nc.nextLogin = [ALICE];
    made.revision = 6;
    notify(nc, "permissionsChanged", 6);
    nc.down();
    nc.up();
    await settle();
    assert.deepEqual(events.patterns(), [ALICE]);
    assert.equal(nc.logins, 1);
  });

  it("log in again when a grant is refused because the login is older", async () => {
    const made = await world([ALICE]);
    const { nc, client } = made;
    const events = client.events({ onEvent: () => {} });
    await events.ready;
    made.grants = [ALICE, SHARED];
    notify(nc, "permissionsChanged", 5);
    nc.nextLogin = [ALICE, SHARED];
    await settle();
    await settle();
    assert.equal(nc.logins, 1);
    assert.deepEqual(events.patterns(), [ALICE, SHARED]);
  });

  it("ask again until the gateway answers", async () => {
    const nc = fakeNats([ALICE]);
    const made = await world([ALICE]);
    made.client.close();
    const due: (() => void)[] = [];
    const timers: Timers = {
      after: (_, task) => {
        due.push(task);
        return () => {};
      },
    };
    const client = await createClient({ nc, clusterId: "zzzzz", token: `v2/${TOKEN_UUID}/s`, sid: SID, timers });
    const events = client.events({ onEvent: () => {} });
    await settle();
    assert.equal(due.length, 1);
    nc.answer = made.nc.answer;
    due.shift()?.();
    await events.ready;
    assert.deepEqual(events.patterns(), [ALICE]);
  });

  it("end, with the connection, when the token has ended", async () => {
    const { nc, client } = await world([ALICE]);
    const statuses: string[] = [];
    client.watch((status) => statuses.push(status));
    await client.events({ onEvent: () => {} }).ready;
    const notices: string[] = [];
    client.notices((notice) => notices.push(notice.notice));
    notify(nc, "tokenEnded", 6);
    await settle();
    assert.deepEqual(notices, ["tokenEnded"]);
    assert.equal(nc.isClosed(), true);
    assert.equal(statuses.at(-1), "ended");
  });

  it("leave the connection open, and nothing on it, when the client is closed", async () => {
    const { nc, client } = await world([ALICE]);
    const events = client.events({ onEvent: () => assert.fail("closed") });
    await events.ready;
    client.close();
    event(nc, "alice.c1.collections", "0/1:0");
    assert.deepEqual(nc.subjects(), []);
    assert.equal(nc.isClosed(), false);
  });
});

describe("a client's tail", () => {
  const asked = (nc: FakeNats, verb: string) => nc.published.filter((p) => p.subject === `${API}.${verb}`);
  const open = (made: World) => {
    const text: string[] = [];
    const ends: TailEnd[] = [];
    const tail = made.client.tail({
      container: "zzzzz-dz642-000000000000001",
      file: "stdout.txt",
      window: 4,
      onBytes: (bytes) => void text.push(new TextDecoder().decode(bytes)),
      onEnd: (end) => ends.push(end),
    });
    return { tail, text, ends };
  };
  const chunk = (nc: FakeNats, reply: string | undefined, offset: number, text: string) =>
    nc.deliver(reply ?? "", text, { "Arvados-Log-Offset": String(offset) });

  it("asks in its own inbox, delivers bytes, and sends credit for what was taken", async () => {
    const made = await world([ALICE]);
    const { text } = open(made);
    await settle();
    const request = asked(made.nc, "tail")[0];
    assert.deepEqual(request?.body, {
      container: "zzzzz-dz642-000000000000001",
      file: "stdout.txt",
      from: 0,
      window: 4,
    } satisfies TailRequest);
    assert.equal(request?.reply, `_INBOX.${TOKEN_UUID}.${SID}.tail1.1`);
    made.nc.deliver(request.reply, JSON.stringify({ id: "x" }));
    chunk(made.nc, request.reply, 0, "one\n");
    chunk(made.nc, request.reply, 4, "two\n");
    await settle();
    assert.equal(text.join(""), "one\ntwo\n");
    assert.deepEqual(asked(made.nc, "more")[0]?.body, { id: "x", n: 2 });
  });

  it("waits for a slow reader before it gives credit", async () => {
    const made = await world([ALICE]);
    const release: (() => void)[] = [];
    made.client.tail({
      container: "c",
      file: "stdout.txt",
      window: 2,
      onBytes: () => new Promise<void>((resolve) => release.push(resolve)),
    });
    await settle();
    const reply = asked(made.nc, "tail")[0]?.reply;
    made.nc.deliver(reply ?? "", JSON.stringify({ id: "x" }));
    chunk(made.nc, reply, 0, "a");
    await settle();
    assert.equal(asked(made.nc, "more").length, 0);
    release[0]?.();
    await settle();
    assert.equal(asked(made.nc, "more").length, 1);
  });

  it("goes on at the next byte after a reconnect, in a new inbox", async () => {
    const made = await world([ALICE]);
    const { text } = open(made);
    await settle();
    const first = asked(made.nc, "tail")[0]?.reply;
    made.nc.deliver(first ?? "", JSON.stringify({ id: "x" }));
    chunk(made.nc, first, 0, "one\n");
    made.nc.down();
    made.nc.up();
    await settle();
    const again = asked(made.nc, "tail")[1];
    assert.ok(again);
    assert.equal((again.body as TailRequest).from, 4);
    assert.notEqual(again.reply, first);
    assert.deepEqual(asked(made.nc, "stop")[0]?.body, { id: "x" });
    assert.equal(chunk(made.nc, first, 4, "stale"), 0);
    chunk(made.nc, again.reply, 0, "one\ntwo\n");
    await settle();
    assert.equal(text.join(""), "one\ntwo\n");
  });

  it("opens again from the next byte when the gateway has forgotten it", async () => {
    const made = await world([ALICE]);
    open(made);
    await settle();
    const reply = asked(made.nc, "tail")[0]?.reply;
    made.nc.deliver(reply ?? "", JSON.stringify({ id: "x" }));
    chunk(made.nc, reply, 0, "one\n");
    await settle();
    made.forgotten = true;
    // The tick, then the pause before the next attempt.
    made.timers.at(-1)?.();
    await settle();
    made.timers.at(-1)?.();
    assert.deepEqual(asked(made.nc, "more")[0]?.body, { id: "x", n: 1 });
    assert.equal((asked(made.nc, "tail")[1]?.body as TailRequest | undefined)?.from, 4);
  });

  it("ends with the typed notice when the right is gone, after all that came before it", async () => {
    const made = await world([ALICE]);
    const { tail, text, ends } = open(made);
    await settle();
    const reply = asked(made.nc, "tail")[0]?.reply ?? "";
    made.nc.deliver(reply, JSON.stringify({ id: "x" }));
    chunk(made.nc, reply, 0, "last words\n");
    made.nc.deliver(reply, "", { "Arvados-Notice": "readRevoked" });
    const end = await tail.ended;
    assert.equal(end.notice, "readRevoked");
    assert.deepEqual(ends, [end]);
    assert.equal(text.join(""), "last words\n");
    assert.ok(!made.nc.subjects().includes(reply));
  });

  it("ends with the notice in an error's headers, or as refused", async () => {
    for (const [headers, notice] of [
      [
        { "Nats-Service-Error": "no", "Nats-Service-Error-Code": "403", "Arvados-Notice": "readRevoked" },
        "readRevoked",
      ],
      [{ "Nats-Service-Error": "no", "Nats-Service-Error-Code": "404" }, "refused"],
    ] as const) {
      const made = await world([ALICE]);
      const { tail } = open(made);
      await settle();
      made.nc.deliver(asked(made.nc, "tail")[0]?.reply ?? "", "", headers);
      assert.equal((await tail.ended).notice, notice);
    }
  });

  it("stops when told to, and when the connection closes for good", async () => {
    const made = await world([ALICE]);
    const first = open(made);
    const second = open(made);
    await settle();
    first.tail.stop();
    assert.equal((await first.tail.ended).notice, "stopped");
    await made.nc.close();
    assert.equal((await second.tail.ended).notice, "stopped");
  });
});

describe("a client whose gateway does not answer", () => {
  it("asks no more once the connection is closed", async () => {
    const { nc, client, timers } = await world([ALICE]);
    await settle();
    nc.answer = () => Promise.reject(new Error("TIMEOUT"));
    nc.down();
    nc.up();
    await settle();
    assert.equal(timers.length, 1, "it asks again later");
    await nc.close();
    await settle();
    assert.equal(timers.length, 0);
    client.close();
  });
});
