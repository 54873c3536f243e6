/** Services meet users at an account of their own: what users fill up, and how large they write, is bounded without a service being bounded. */
import assert from "node:assert/strict";
import { until } from "../../dev/testing/until.ts";
import { startNats, type TestNats } from "../support/servers/nats.ts";
import { startTestCallout } from "../support/worlds/callout.ts";

const root = "arvados.zzzzz";
const PLACES = 6;

async function withUsers(nats: TestNats): Promise<void> {
  await startTestCallout(nats, () => ({
    name: "alice",
    publish: [`${root}.api.t.s.whoami`],
    subscribe: ["_INBOX.t.s.>", `${root}.notice.t.s`],
  }));
}

describe("the door between services and users", () => {
  for (const servers of [1, 3] as const) {
    it(`admits services when users hold all of their connections, on ${servers} servers`, async () => {
      await using nats = await startNats({ servers, streams: false, limits: { appConnections: PLACES } });
      await withUsers(nats);
      const user = (url: string) => nats.connectUser({ token: "any", inboxPrefix: "_INBOX.t.s", servers: url });
      const alice = await user(nats.servers.at(-1)?.url ?? "");
      const open = [alice];
      for (let i = 1; i < PLACES; i++) open.push(await user(nats.server.url));
      await assert.rejects(user(nats.server.url), "the control: there is no place left for users");
      const gateway = await nats.connect("gateway", "APP");
      gateway.subscribe(nats.subjects.apiRequests, {
        queue: "gateway",
        callback: (_error, message) => void message.respond("you"),
      });
      await gateway.flush();
      const ask = () => alice.request(`${root}.api.t.s.whoami`, "{}", { timeout: 1_000 }).catch(() => null);
      const answer = await until(ask, "the gateway to be known on every server");
      assert.equal(answer.string(), "you");
      const callout = await nats.connect("authcallout", "APP");
      const notices: string[] = [];
      alice.subscribe(`${root}.notice.t.s`, { callback: (_error, message) => void notices.push(message.string()) });
      await alice.flush();
      await until(() => {
        callout.publish(`${root}.notice.t.s`, "hello");
        return notices.includes("hello");
      }, "a notice");
      assert.equal(open.filter((nc) => nc.isClosed()).length, 0);
    });
  }

  it("takes from a user no more than a log's message, and lets the answer of a service be larger", async () => {
    await using nats = await startNats({ streams: false });
    await withUsers(nats);
    const gateway = await nats.connect("gateway", "APP");
    const sizes: number[] = [];
    gateway.subscribe(nats.subjects.apiRequests, {
      callback: (_error, message) => {
        sizes.push(message.data.length);
        message.respond(new Uint8Array(600_000));
      },
    });
    await gateway.flush();
    const alice = await nats.connectUser({ token: "any", inboxPrefix: "_INBOX.t.s" });
    const answer = await alice.request(`${root}.api.t.s.whoami`, new Uint8Array(131_072));
    assert.equal(answer.data.length, 600_000);
    const { info } = alice;
    assert.equal(info?.max_payload, 131_072, "clients are told");
    // One that does not heed it.
    if (info) info.max_payload = 1_048_576;
    alice.publish(`${root}.api.t.s.whoami`, new Uint8Array(131_073));
    await alice.closed();
    assert.deepEqual(sizes, [131_072]);
  });
});
