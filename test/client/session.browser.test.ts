/** The client in a real browser on both libraries, and in Node over `nats`, against a real nats-server. */
import { strict as assert } from "node:assert";
import { connect as connectNode } from "nats";
import type { Browser } from "playwright-core";
import { connectOptions, createClient, type LiveEvent } from "../../client/mod.ts";
import { type Flavour, openClientPage } from "../support/clients/client-page.ts";
import { launchChromium } from "../support/servers/chromium.ts";
import { startStubService } from "../support/worlds/stub-service.ts";

const CONTAINER = "zzzzz-dz642-000000000000001";
const BOBS = "arvados.zzzzz.live.bob.>";
const SHARED = "arvados.zzzzz.live.alice.project.>";
const LOG = "line one\nline two\nline three\n";

describe("a client in a real browser", () => {
  let chromium: Browser;
  before(async () => {
    chromium = await launchChromium();
  });
  after(() => chromium.close());

  for (const flavour of ["nats.ws", "nats-core"] as Flavour[]) {
    describe(`on ${flavour}`, () => {
      it("gets its events, follows a grown right by a notice, and loses a right by a kick", async () => {
        await using service = await startStubService();
        await using page = await openClientPage(chromium, flavour);
        const { bob } = service.users;
        await page.connect(service.nats.server.websocketUrl, bob.token, "zzzzz");
        await service.store("bob.c1.collections", "c1");
        const event = await page.event({ object: "c1" });
        assert.ok(event.sequence > 0);
        const delay = event.receivedAt - Date.parse(event.commitTime ?? "");
        // A time zone would be a quarter of an hour or more.
        assert.ok(Math.abs(delay) < 600_000, String(delay));
        await service.store("alice.project.c2.collections", "c2");

        await service.regrant(bob, [BOBS, SHARED]);
        await page.following({ has: SHARED, cuts: 1 });
        await service.store("alice.project.c3.collections", "c3");
        await page.event({ object: "c3" });

        await service.regrant(bob, [BOBS]);
        await page.following({ hasNot: SHARED, cuts: 2 });
        await service.store("alice.project.c4.collections", "c4");
        await service.store("bob.c5.collections", "c5");
        await page.event({ object: "c5" });
        const objects = (await page.events()).map((e) => e.event.object_uuid);
        assert.deepEqual(objects, ["c1", "c3", "c5"], "nothing before the grant, nothing after the kick");
        assert.deepEqual(
          (await page.notices()).map((notice) => notice.notice),
          ["permissionsGrown", "permissionsChanged"],
        );
      });

      it("reads a log in order, goes on after a kick, and ends with the typed notice", async () => {
        await using service = await startStubService();
        await using page = await openClientPage(chromium, flavour);
        const { alice } = service.users;
        service.log(LOG);
        await page.connect(service.nats.server.websocketUrl, alice.token, "zzzzz");
        await page.tail(CONTAINER, "stdout.txt");
        await page.tailShows(LOG);
        assert.equal(await service.kick(alice), 1);
        await service.until(() => service.tails.length === 2);
        service.log("more\n");
        await page.tailShows("more\n");
        service.revokeTails(alice);
        assert.equal((await page.tailEnd()).notice, "readRevoked");
        assert.equal(await page.tailText(), `${LOG}more\n`, "nothing twice");
      });

      it("is refused with a wrong token", async () => {
        await using service = await startStubService();
        await using page = await openClientPage(chromium, flavour);
        const wrong = page.connect(service.nats.server.websocketUrl, `${service.users.bob.token}x`, "zzzzz");
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
    await using service = await startStubService();
    const { bob } = service.users;
    const sid = "NodeSession0Node0";
    const nc = await connectNode({ servers: service.nats.server.url, ...(await connectOptions(bob.token, sid)) });
    const client = await createClient({ nc, clusterId: "zzzzz", token: bob.token, sid });
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
      await service.store("bob.c1.collections", "c1");
      await first;
      assert.equal(got[0]?.event.object_uuid, "c1");

      const following = new Promise<void>((resolve) => {
        client.watch((status) => {
          if (status === "following" && events.patterns().includes(SHARED)) resolve();
        });
      });
      await service.regrant(bob, [BOBS, SHARED], true);
      await following;

      service.log(LOG);
      let text = "";
      const tail = client.tail({
        container: CONTAINER,
        file: "stdout.txt",
        window: 2,
        onBytes: (bytes) => {
          text += new TextDecoder().decode(bytes);
          if (text.length === LOG.length) service.revokeTails(bob);
        },
      });
      assert.equal((await tail.ended).notice, "readRevoked");
      assert.equal(text, LOG);
      await service.until(() => service.moreRequests.length === 3);
      assert.ok(service.moreRequests.every(({ n }) => n === 1));
    } finally {
      client.close();
      await nc.close();
    }
  });
});
