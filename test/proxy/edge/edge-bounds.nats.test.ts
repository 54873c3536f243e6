/** What the edge keeps from happening: too many sockets without a login, sockets that fall silent, clients that learn of servers inside. */
import assert from "node:assert/strict";
import { readNats } from "../../../cli/doctor/read-nats.ts";
import { natsFindings } from "../../../cli/doctor/streams.ts";
import type { NatsServer } from "../../../dev/servers/nats-server.ts";
import { until } from "../../../dev/testing/until.ts";
import type { EdgeOptions } from "../../../proxy/edge/edge.ts";
import { createLog } from "../../../runtime/log/log.ts";
import { declaredStreams } from "../../../streams-config/streams.ts";
import { connectLine, isAdmitted, openRawClient, type RawClient } from "../../support/clients/raw-client.ts";
import { openRawSocket } from "../../support/clients/raw-http.ts";
import { disposable, openEdge } from "../../support/servers/edge-listener.ts";
import { startNats, type TestNats } from "../../support/servers/nats.ts";
import { startTestCallout } from "../../support/worlds/callout.ts";

describe("the edge", () => {
  let nats: TestNats;
  before(async () => {
    nats = await startNats({ streams: false });
    await startTestCallout(nats, () => ({ name: "u", publish: [">"], subscribe: [">"] }));
  });
  after(() => nats?.[Symbol.asyncDispose]());

  const openDoor = (options: Partial<EdgeOptions>) => openEdge(nats, options);

  describe("bounds the sockets that have sent no CONNECT", () => {
    const BOUNDS = { perAddress: 3, total: 5 };
    /** Opens so many, and tells which were refused with which status. */
    async function openMany(url: string, addresses: string[]): Promise<{ clients: RawClient[]; refused: number[] }> {
      const clients = await Promise.all(addresses.map((address) => openRawClient(url, { "X-Forwarded-For": address })));
      const refused = clients.flatMap(({ text }, place) => (text() === "" ? [place] : []));
      return { clients, refused };
    }

    it("of each address, a /64 of IPv6 and all unknown ones being one, whatever their ports", async () => {
      const refusals: string[] = [];
      const lines: string[] = [];
      const log = createLog({ format: "json", sink: { write: (text) => void lines.push(text) } });
      const onRefused = (by: string) => void refusals.push(by);
      const options = { pendingBounds: { perAddress: 3, total: 100 }, onRefused, log };
      await using strict = await disposable(openDoor({ ...options, connectWithin: 30_000 }));
      const ports = (address: string) => [1, 2, 3, 4].map((port) => `${address}:${port}`);
      const kinds = [ports("203.0.113.9"), ports("[2001:db8::1]"), ["unknown", "_x", "unix:", "8.8.8.8, what"]];
      for (const addresses of kinds) {
        const { clients, refused } = await openMany(strict.url, addresses);
        assert.equal(refused.length, 1, addresses.join());
        assert.equal((await clients[refused[0] ?? 0]?.closed)?.code, 429);
      }
      const sameNetwork = await openMany(strict.url, ["2001:db8::2"]);
      assert.equal(sameNetwork.refused.length, 1);
      const neighbour = await openMany(strict.url, ["203.0.113.10", "2001:db8:0:1::1"]);
      assert.deepEqual(neighbour.refused, []);
      assert.deepEqual(refusals, ["address", "address", "address", "address"]);
      const said = lines.filter((text) => text.includes("sockets are refused"));
      assert.equal(said.length, 1, "one line for many");
      assert.match(said[0] ?? "", /"bound":"address","address":"203\.0\.113\.9"/);
      assert.equal(strict.edge.pending(), 3 * 3 + 2);
    });

    it("in total, and a socket makes room once its CONNECT is through, or it ends", async () => {
      await using strict = await disposable(openDoor({ pendingBounds: BOUNDS, connectWithin: 30_000 }));
      const address = (place: number) => `203.0.113.${place}`;
      const first = await openMany(strict.url, [1, 2, 3, 4, 5].map(address));
      assert.deepEqual(first.refused, []);
      const full = await openRawSocket(strict.url);
      await until(full.isClosed, "a connection too many to be closed");
      first.clients[0]?.send(connectLine({ auth_token: "t" }));
      await until(() => strict.edge.pending() === 4, "room after CONNECT");
      first.clients[1]?.socket.terminate();
      await until(() => strict.edge.pending() === 3, "room after an end");
      assert.equal(strict.edge.sockets(), 4);
      const again = await openMany(strict.url, [address(1)]);
      assert.deepEqual(again.refused, []);
    });

    it("those included that have not sent their headers, by the address of a client that is no forwarder", async () => {
      const bounds = { pendingBounds: BOUNDS, isForwarder: () => false };
      await using strict = await disposable(openDoor(bounds));
      const slow = await Promise.all(Array.from({ length: 4 }, () => openRawSocket(strict.url)));
      for (const { socket } of slow) socket.write("GET /nats HTTP/1.1\r\nX: ");
      await until(() => slow.filter(({ isClosed }) => isClosed()).length === 1, "one to be closed");
      assert.equal(strict.edge.pending(), 3);
      for (const { socket } of slow) socket.destroy();
      await until(() => strict.edge.pending() === 0, "room");
      await until(() => isAdmitted(strict.url, { auth_token: "t" }), "a client");
    });
  });

  it("pings a client to which nothing was sent for a while, whatever that sends itself", async () => {
    await using lively = await disposable(openDoor({ pingEvery: 50 }));
    const client = await openRawClient(lively.url);
    client.send(`${connectLine({ auth_token: "t" })}PING\r\n`);
    await until(() => client.text().includes("PONG\r\n"), "the login");
    let pings = 0;
    client.socket.on("ping", () => pings++);
    const chatter = setInterval(() => client.send("PUB x 2\r\nhi\r\n"), 10);
    await until(() => pings >= 3, "three pings");
    clearInterval(chatter);
    // One that is sent something needs none: there are fewer than looks.
    client.send("SUB tick 1\r\n");
    const ticks = setInterval(() => client.send("PUB tick 2\r\nhi\r\n"), 10);
    await until(() => client.text().includes("MSG tick"), "the first tick");
    const before = client.text().length;
    pings = 0;
    await until(() => client.text().length > before + 50 * "MSG tick 1 2\r\nhi\r\n".length, "half a second of ticks");
    clearInterval(ticks);
    assert.ok(pings <= 2, `${pings} pings`);
    client.socket.close();
    await client.closed;
  });

  describe("before servers that advertise themselves", () => {
    let cluster: TestNats;
    before(async () => {
      cluster = await startNats({ servers: 3, streams: false, advertise: true });
      await startTestCallout(cluster, () => ({ name: "u", publish: [">"], subscribe: [">"] }));
    });
    after(() => cluster?.[Symbol.asyncDispose]());

    it("is how doctor finds them, and bad", async () => {
      const connections = {
        CORE: await cluster.connect("bridge", "CORE"),
        STORE: await cluster.connect("bridge", "STORE"),
      };
      const declared = declaredStreams({ clusterId: "zzzzz", profile: "single" });
      const facts = await readNats(connections, declared, {
        clusterId: cluster.clusterId,
        url: cluster.server.url,
        now: Date.now,
      });
      const [finding] = natsFindings(declared, facts, { profile: "single", staleness: 5_000 });
      assert.equal(finding?.state, "bad");
      assert.match(finding?.todo ?? "", /no_advertise: true/);
    });

    it("tells clients no address of theirs, at no time", async () => {
      const [server] = cluster.servers as [NatsServer];
      await using outside = await disposable(openEdge(cluster, { natsWebsocketUrl: server.websocketUrl }));
      const [direct, client] = [await openRawClient(server.websocketUrl), await openRawClient(outside.url)];
      for (const each of [direct, client]) {
        each.send(`${connectLine({ auth_token: "t", protocol: 1, headers: true, no_responders: true })}PING\r\n`);
        await until(() => each.text().includes("PONG\r\n"), "the login");
      }
      const infos = ({ text }: RawClient) => text().match(/INFO \{.*\}/g) ?? [];
      assert.ok(
        infos(direct).some((info) => info.includes('"connect_urls"')),
        "negative control",
      );
      const before = infos(direct).length;
      process.kill(server.pid, "SIGUSR2");
      await until(() => infos(direct).length > before, "negative control: a later INFO");
      assert.match(infos(direct).at(-1) ?? "", /"connect_urls".*"ldm":true/);
      client.send("PING\r\n");
      await until(() => client.text().match(/PONG/g)?.length === 2, "what was sent before it");
      // A server that is a lame duck takes its time to stop.
      await server.kill9();
      assert.equal(infos(client).length, 1);
      assert.doesNotMatch(client.text(), /connect_urls|127\.0\.0\.1|"host"|"ip"|server_name|"n1"/);
      assert.match(infos(client)[0] ?? "", /"server_id":"N[A-Z2-7]+","version":"/);
    });
  });
});
