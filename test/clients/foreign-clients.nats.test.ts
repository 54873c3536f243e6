import assert from "node:assert/strict";
import { headers, type Msg, type NatsConnection } from "@nats-io/nats-core";
import { parseToken, sessionTokenOf } from "../../core/token/token.ts";
import { HEADER, type TailRequest } from "../../core/wire/wire.ts";
import { startNats, type TestNats } from "../support/servers/nats.ts";
import { type ConnectOpts, startTestCallout, type TestUser } from "../support/worlds/callout.ts";
import type { ForeignClient, ForeignClientOptions } from "./foreign-client.ts";
import { buildGoClient, startGoClient } from "./go-client.ts";
import { preparePython, startPythonClient } from "./python-client.ts";

const CLUSTER = "zzzzz";
const TOKEN = "v2/zzzzz-gj3su-0123456789abcde/secretsecretsecret";
const BARE = "abcdefghijklmnopqrstuvwxyz0123456789";
const CONTAINER = `${TOKEN}/zzzzz-dz642-0123456789abcde`;
const SID = "0123456789abcdefABCD";
const ALLOWED = "arvados.zzzzz.live.zzzzz-tpzed-aaaaaaaaaaaaaaa.>";
const FORBIDDEN = "arvados.zzzzz.live.zzzzz-tpzed-bbbbbbbbbbbbbbb.>";
const FORGER = "forger";
const FORGED = "arvados.zzzzz.live.zzzzz-tpzed-aaaaaaaaaaaaaaa.forged.collections";
const OBJECT = "zzzzz-4zz18-0123456789abcde";

function sessionOf(token: string, sid?: string): string {
  const parsed = parseToken(token);
  assert.ok(parsed);
  return `${sessionTokenOf(parsed)}.${sid ?? "_"}`;
}

type Starter = (options: ForeignClientOptions) => Promise<ForeignClient>;
const languages: [name: string, prepare: () => Promise<unknown>, start: Starter][] = [
  ["go", buildGoClient, startGoClient],
  ["python", preparePython, startPythonClient],
];

for (const [language, prepare, start] of languages) {
  describe(`the ${language} client`, () => {
    let nats: TestNats;
    let bridge: NatsConnection;
    let logins: ConnectOpts[];
    let refuse = false;
    const authorize = (opts: ConnectOpts): TestUser | null => {
      logins.push(opts);
      const token = opts.auth_token ?? opts.pass;
      if (refuse || token === undefined || token === "unknown") return null;
      if (token === FORGER) return { name: FORGER, publish: [FORGED], subscribe: ["nothing"] };
      const session = sessionOf(token, opts.user || undefined);
      return {
        name: "alice",
        publish: ["tail", "more"].map((verb) => `arvados.zzzzz.api.${session}.${verb}`) as [string, ...string[]],
        subscribe: [ALLOWED, `arvados.zzzzz.notice.${session}`, `_INBOX.${session}.>`],
      };
    };
    const startClient = (over: Partial<ForeignClientOptions> = {}) =>
      start({ url: nats.server.url, token: TOKEN, clusterId: CLUSTER, sid: SID, ...over });
    const publish = async (tail: string, event_type = "update"): Promise<number> => {
      const body = JSON.stringify({ event_type, object_uuid: OBJECT });
      return ((await bridge.request(`arvados.zzzzz.rec.${tail}`, body)).json() as { seq: number }).seq;
    };

    before(async function () {
      this.timeout(300_000); // The first time it is fetched and built.
      await prepare();
      nats = await startNats();
      logins = [];
      await startTestCallout(nats, authorize);
      bridge = await nats.connect("bridge", "STORE");
    });
    beforeEach(() => {
      logins = [];
      refuse = false;
    });
    after(() => nats?.[Symbol.asyncDispose]());

    it("logs in with its token, and prints the events it may see", async () => {
      await using client = await startClient({ subjects: [ALLOWED] });
      assert.equal((await client.next("connected")).session, `zzzzz-gj3su-0123456789abcde.${SID}`);
      await client.next("subscribed", ({ subject }) => subject === ALLOWED);
      const sequence = await publish(`zzzzz-tpzed-aaaaaaaaaaaaaaa.${OBJECT}.collections`);
      assert.deepEqual(await client.next("event"), {
        type: "event",
        subject: `arvados.zzzzz.live.zzzzz-tpzed-aaaaaaaaaaaaaaa.${OBJECT}.collections`,
        event_type: "update",
        object_uuid: OBJECT,
        sequence,
      });
      const sent = logins.map(({ user, pass, auth_token }) => [user, pass ?? auth_token]);
      assert.deepEqual(sent, [[SID, TOKEN]]);
    });

    it("says what it may not subscribe to, and hears nothing of it", async () => {
      await using client = await startClient({ subjects: [FORBIDDEN, ALLOWED] });
      assert.match((await client.next("permission")).reason, /zzzzz-tpzed-bbbbbbbbbbbbbbb/);
      await client.next("subscribed", ({ subject }) => subject === ALLOWED);
      await publish(`zzzzz-tpzed-bbbbbbbbbbbbbbb.${OBJECT}.collections`);
      await publish(`zzzzz-tpzed-aaaaaaaaaaaaaaa.${OBJECT}.collections`);
      assert.match((await client.next("event")).subject, /-aaaaaaaaaaaaaaa\./);
    });

    it("drops a live message that RECORDS did not publish", async () => {
      await using client = await startClient({ subjects: [ALLOWED] });
      await client.next("subscribed", ({ subject }) => subject === ALLOWED);
      const forger = await nats.connectUser({ token: FORGER });
      forger.publish(FORGED, JSON.stringify({ event_type: "update", object_uuid: OBJECT }));
      await forger.flush();
      assert.deepEqual(await client.next("dropped"), { type: "dropped", subject: FORGED });
    });

    it("knows its session's subjects for each kind of token", async () => {
      for (const [token, sid] of [
        [BARE, SID],
        [CONTAINER, SID],
        [TOKEN, undefined],
      ] as const) {
        const options: ForeignClientOptions = {
          url: nats.server.url,
          token,
          clusterId: CLUSTER,
          ...(sid ? { sid } : {}),
        };
        await using client = await start(options);
        assert.equal((await client.next("connected")).session, sessionOf(token, sid));
        await client.next("subscribed");
      }
    });

    it("logs in again when a notice says that rights have grown", async () => {
      await using client = await startClient({ subjects: [ALLOWED] });
      await client.next("subscribed", ({ subject }) => subject === ALLOWED);
      const callout = await nats.connect("authcallout", "APP");
      const notice = { notice: "permissionsGrown", code: 4004 };
      callout.publish(`arvados.zzzzz.notice.${sessionOf(TOKEN, SID)}`, JSON.stringify(notice));
      assert.deepEqual(await client.next("notice"), { type: "notice", ...notice });
      await client.next("reconnected");
      assert.equal(logins.length, 2);
    });

    it("says that it was cut, and comes back with what it followed", async () => {
      await using client = await startClient({ subjects: [ALLOWED] });
      await client.next("subscribed", ({ subject }) => subject === ALLOWED);
      await kick(nats, "alice");
      await client.next("disconnected");
      await client.next("reconnected");
      await publish(`zzzzz-tpzed-aaaaaaaaaaaaaaa.${OBJECT}.collections`, "create");
      assert.equal((await client.next("event")).event_type, "create");
    });

    it("ends by itself when its token is refused, at once or after a cut", async () => {
      await using stranger = await startClient({ token: "unknown" });
      assert.match((await stranger.next("closed")).reason, /authorization violation/i);
      assert.equal(await stranger.exited, 1);

      await using client = await startClient();
      await client.next("subscribed");
      refuse = true;
      await kick(nats, "alice");
      assert.match((await client.next("closed")).reason, /authorization violation/i);
      assert.equal(await client.exited, 1);
    });

    it("ends in order when it is asked to", async () => {
      const client = await startClient();
      await client.next("subscribed");
      assert.equal(await client.stop(), 0);
      assert.equal(client.lines.at(-1)?.type, "closed");
    });

    it("prints a log's chunks, asks for more, and tells how the tail ended", async () => {
      const gateway = await nats.connect("gateway", "APP");
      const asked: TailRequest[] = [];
      const more: number[] = [];
      const answer = (request: Msg) => {
        if (request.subject.endsWith(".more")) {
          more.push((request.json() as { n: number }).n);
          const ended = headers();
          ended.set(HEADER.notice, "readRevoked");
          gateway.publish(reply, "", { headers: ended });
          return;
        }
        asked.push(request.json());
        reply = request.reply ?? "";
        gateway.publish(reply, JSON.stringify({ id: "t1" }));
        for (let index = 0; index < 32; index++) {
          const chunk = headers();
          chunk.set(HEADER.logOffset, String(index * 5));
          gateway.publish(reply, "line\n", { headers: chunk });
        }
      };
      let reply = "";
      const subscription = gateway.subscribe(nats.subjects.apiRequests, {
        callback: (_error, request) => answer(request),
      });
      await gateway.flush();
      const tail: TailRequest = { container: "zzzzz-dz642-0123456789abcde", file: "stdout.txt" };
      await using client = await startClient({ tail });
      assert.equal((await client.next("tail")).id, "t1");
      assert.deepEqual(await client.next("chunk", ({ offset }) => offset === 155), {
        type: "chunk",
        offset: 155,
        text: "line\n",
      });
      assert.equal((await client.next("tail_ended")).notice, "readRevoked");
      assert.deepEqual([asked, more], [[tail], [32]]);
      assert.ok(reply.startsWith(`_INBOX.${sessionOf(TOKEN, SID)}.`));
      subscription.unsubscribe();
    });

    it("says why a tail was refused", async () => {
      const gateway = await nats.connect("gateway", "APP");
      gateway.subscribe(nats.subjects.apiRequests, {
        callback: (_error, request) => {
          const refusal = headers();
          refusal.set(HEADER.error, "you may not read this");
          refusal.set(HEADER.errorCode, "404");
          request.respond("", { headers: refusal });
        },
      });
      await gateway.flush();
      await using client = await startClient({
        tail: { container: "zzzzz-dz642-0123456789abcde", file: "stdout.txt" },
      });
      assert.deepEqual(await client.next("refused"), { type: "refused", code: "404", reason: "you may not read this" });
    });
  });
}

/** Cuts every session of a name. */
async function kick(nats: TestNats, user: string): Promise<void> {
  const system = await nats.connect("authcallout", "SYS");
  const listing = await system.request("$SYS.REQ.SERVER.PING.CONNZ", JSON.stringify({ auth: true, user }));
  const { server, data } = listing.json() as { server: { id: string }; data: { connections: { cid: number }[] } };
  for (const { cid } of data.connections) {
    await system.request(`$SYS.REQ.SERVER.${server.id}.KICK`, JSON.stringify({ cid }));
  }
}
