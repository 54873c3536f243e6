/**
 * The client in a real browser, and in Node over `nats`, against a real nats-server. The callout and the gateway are
 * small ones of the test's own: what they grant is a table, so that the client's side is what is tested.
 */
import { strict as assert } from "node:assert";
import { headers, type Msg, type NatsConnection } from "@nats-io/nats-core";
import { connect as connectNode } from "nats";
import type { Browser } from "playwright-core";
import { type Client, connectOptions, createClient, type LiveEvent } from "../../client/mod.ts";
import { CLOSE_CODES, type CloseName } from "../../core/close-codes.ts";
import type { MoreRequest, Notice, TailRequest, WhoamiAnswer } from "../../core/wire.ts";
import { startTestCallout } from "../support/callout.ts";
import { launchChromium } from "../support/chromium.ts";
import { type Flavour, openClientPage } from "../support/client-page.ts";
import { startNats, type TestNats } from "../support/nats.ts";

const TOKEN_UUID = "zzzzz-gj3su-077z32aux8dg2s1";
const TOKEN = `v2/${TOKEN_UUID}/secret`;
const CONTAINER = "zzzzz-dz642-000000000000001";
const ALICE = "arvados.zzzzz.live.alice.>";
const SHARED = "arvados.zzzzz.live.bob.project.>";
const LOG = "line one\nline two\nline three\n";

type World = AsyncDisposable & {
  nats: TestNats;
  /** What the callout grants at the next login, and `whoami` says. */
  grant(patterns: string[]): void;
  /** Stores an event in RECORDS, which the server republishes. */
  store(tail: string, object: string): Promise<void>;
  notify(sid: string, name: CloseName): void;
  kick(): Promise<number>;
  /** Ends all tails with `readRevoked`. */
  revokeTails(): void;
  readonly tails: string[];
  readonly moreRequests: MoreRequest[];
  /** Resolves once the condition holds, looked at after each request to the gateway. */
  until(condition: () => boolean): Promise<void>;
};

async function startWorld(): Promise<World> {
  const nats = await startNats();
  let patterns = [ALICE];
  let revision = 1;
  await startTestCallout(nats, ({ user = "", pass }) => {
    if (pass !== TOKEN) return null;
    const key = { token: TOKEN_UUID, sid: user };
    return {
      name: "alice",
      publish: [`${nats.subjects.root}.api.${TOKEN_UUID}.${user}.>`],
      subscribe: [nats.subjects.inbox(key), nats.subjects.notice(key), ...patterns],
    };
  });
  const gateway = await nats.connect("gateway", "APP");
  const store = await nats.connect("bridge", "STORE");
  const system = await nats.connect("authcallout", "SYS");
  const tails: string[] = [];
  const moreRequests: MoreRequest[] = [];
  const waiting = new Set<() => void>();
  gateway.subscribe(nats.subjects.apiAll, {
    callback: (_, msg) => {
      const verb = msg.subject.split(".").at(-1);
      if (verb === "whoami") msg.respond(JSON.stringify(whoami(patterns, revision)));
      if (verb === "tail") tails.push(serveTail(gateway, msg));
      if (verb === "more") {
        moreRequests.push(msg.json<MoreRequest>());
        msg.respond("{}");
      }
      for (const look of [...waiting]) look();
    },
  });
  await gateway.flush();
  let eventNumber = 0;
  return {
    nats,
    tails,
    moreRequests,
    until: (condition) =>
      new Promise((resolve) => {
        const look = () => {
          if (!condition()) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    grant(next) {
      patterns = next;
      revision += 1;
    },
    async store(tail, object) {
      eventNumber += 1;
      const head = headers();
      head.set("Arvados-Event-Id", `0/${eventNumber}:0`);
      head.set("Arvados-Commit-Time", new Date().toISOString());
      const body = { event_type: "update", object_uuid: object, object_kind: "arvados#collection", attributes: {} };
      await store.request(nats.subjects.record(tail), JSON.stringify(body), { headers: head, timeout: 5_000 });
    },
    notify(sid, name) {
      const notice: Notice = { notice: name, ...CLOSE_CODES[name], revision: `1.${revision}` };
      gateway.publish(nats.subjects.notice({ token: TOKEN_UUID, sid }), JSON.stringify(notice));
    },
    kick: () => kickAll(system, nats),
    revokeTails() {
      const head = headers();
      head.set("Arvados-Notice", "readRevoked");
      for (const reply of tails) gateway.publish(reply, "", { headers: head });
    },
    [Symbol.asyncDispose]: () => nats[Symbol.asyncDispose](),
  };
}

function whoami(subscribe: string[], revision: number): WhoamiAnswer {
  return {
    user_uuid: "alice",
    token_uuid: TOKEN_UUID,
    session: "",
    grants: { subscribe, publish: [] },
    revision: `1.${revision}`,
    records_sequence: 0,
  };
}

/** Sends the whole log in chunks of ten bytes, from where it is asked. */
function serveTail(nc: NatsConnection, msg: Msg): string {
  const { from } = msg.json<TailRequest>();
  const reply = msg.reply ?? "";
  nc.publish(reply, JSON.stringify({ id: reply }));
  for (let at = Number(from); at < LOG.length; at += 10) {
    const head = headers();
    head.set("Arvados-Log-Offset", String(at));
    nc.publish(reply, LOG.slice(at, at + 10), { headers: head });
  }
  return reply;
}

/** Kicks every connection in APP that is a user's; returns how many. */
async function kickAll(system: NatsConnection, nats: TestNats): Promise<number> {
  const body = JSON.stringify({ auth: true, acc: "APP" });
  const listing = (await system.request("$SYS.REQ.SERVER.PING.CONNZ", body)).json<{
    server: { id: string };
    data: { connections: { cid: number; authorized_user: string }[] };
  }>();
  const users = listing.data.connections.filter((row) => row.authorized_user === "alice");
  for (const { cid } of users) {
    await system.request(`$SYS.REQ.SERVER.${listing.server.id}.KICK`, JSON.stringify({ cid }));
  }
  assert.ok(nats.server.pid > 0);
  return users.length;
}

describe("a client in a real browser", () => {
  let chromium: Browser;
  before(async () => {
    chromium = await launchChromium();
  });
  after(() => chromium.close());

  for (const flavour of ["nats.ws", "nats-core"] as Flavour[]) {
    describe(`on ${flavour}`, () => {
      it("gets its events, follows a grown right by a notice, and loses a right by a kick", async () => {
        await using world = await startWorld();
        await using page = await openClientPage(chromium, flavour);
        await page.connect(world.nats.server.websocketUrl, TOKEN, "zzzzz");
        await world.store("alice.c1.collections", "c1");
        const event = await page.event({ object: "c1" });
        assert.ok(event.sequence > 0);
        assert.ok(event.commitTime !== null && event.receivedAt - Date.parse(event.commitTime) < 1_000);
        await world.store("bob.project.c2.collections", "c2");

        world.grant([ALICE, SHARED]);
        const { sid } = await page.state();
        world.notify(sid, "permissionsGrown");
        await page.following({ has: SHARED });
        await world.store("bob.project.c3.collections", "c3");
        await page.event({ object: "c3" });

        world.grant([ALICE]);
        world.notify(sid, "permissionsChanged");
        assert.equal(await world.kick(), 1);
        await page.following({ hasNot: SHARED });
        await world.store("bob.project.c4.collections", "c4");
        await world.store("alice.c5.collections", "c5");
        await page.event({ object: "c5" });
        const objects = (await page.events()).map((e) => e.event.object_uuid);
        assert.deepEqual(objects, ["c1", "c3", "c5"], "nothing before the grant, nothing after the kick");
        assert.deepEqual(
          (await page.notices()).map((notice) => notice.notice),
          ["permissionsGrown", "permissionsChanged"],
        );
      });

      it("reads a log in order, goes on after a kick, and ends with the typed notice", async () => {
        await using world = await startWorld();
        await using page = await openClientPage(chromium, flavour);
        await page.connect(world.nats.server.websocketUrl, TOKEN, "zzzzz");
        await page.tail(CONTAINER, "stdout.txt");
        await page.tailShows(LOG);
        await world.kick();
        await world.until(() => world.tails.length === 2);
        world.revokeTails();
        assert.equal((await page.tailEnd()).notice, "readRevoked");
        assert.equal(await page.tailText(), LOG, "nothing twice");
      });

      it("is refused with a wrong token", async () => {
        await using world = await startWorld();
        await using page = await openClientPage(chromium, flavour);
        const wrong = page.connect(world.nats.server.websocketUrl, `${TOKEN}x`, "zzzzz");
        await assert.rejects(wrong, /authorization violation/i);
      });
    });
  }

  it("can seem to come from the proxy's origin", async () => {
    await using page = await openClientPage(chromium, "nats.ws", "http://127.0.0.1:9");
    assert.equal(await page.page.evaluate(() => window.location.origin), "http://127.0.0.1:9");
    assert.equal((await page.state()).status, "new");
  });
});

describe("a client in Node over nats 2.29", () => {
  it("follows its grants and reads a log", async () => {
    await using world = await startWorld();
    const sid = "NodeSession0Node0";
    const nc = await connectNode({ servers: world.nats.server.url, ...(await connectOptions(TOKEN, sid)) });
    const client: Client = await createClient({ nc, clusterId: "zzzzz", token: TOKEN, sid });
    try {
      const got: LiveEvent[] = [];
      let arrived = () => {};
      const events = client.events({
        onEvent: (event) => {
          got.push(event);
          arrived();
        },
      });
      await events.ready;
      const first = new Promise<void>((resolve) => {
        arrived = resolve;
      });
      await world.store("alice.c1.collections", "c1");
      await first;
      assert.equal(got[0]?.event.object_uuid, "c1");

      const following = new Promise<void>((resolve) => {
        client.watch((status) => {
          if (status === "following" && events.patterns().includes(SHARED)) resolve();
        });
      });
      world.grant([ALICE, SHARED]);
      world.notify(sid, "permissionsGrown");
      await following;

      let text = "";
      const tail = client.tail({
        container: CONTAINER,
        file: "stdout.txt",
        window: 2,
        onBytes: (bytes) => {
          text += new TextDecoder().decode(bytes);
          if (text.length === LOG.length) world.revokeTails();
        },
      });
      assert.equal((await tail.ended).notice, "readRevoked");
      assert.equal(text, LOG);
      await world.until(() => world.moreRequests.length === 3);
      assert.ok(world.moreRequests.every(({ n }) => n === 1));
    } finally {
      client.close();
      await nc.close();
    }
  });
});
