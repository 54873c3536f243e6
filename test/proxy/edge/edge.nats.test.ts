/** The edge before a real nats-server: what it lets through, what it ends and why, and how much it holds. */
import assert from "node:assert/strict";
import { sign } from "node:crypto";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { WebSocket, WebSocketServer } from "ws";
import { seedBytes, signingKey } from "../../../core/nkey.ts";
import { type NatsServer, startNatsServer } from "../../../dev/servers/nats-server.ts";
import { until } from "../../../dev/testing/until.ts";
import type { EdgeOptions } from "../../../proxy/edge/edge.ts";
import { createLog } from "../../../runtime/log/log.ts";
import { generateKeys, publicKeys } from "../../../streams-config/keys.ts";
import { connectLine, isAdmitted, openRawClient, type RawClient } from "../../support/clients/raw-client.ts";
import { createAuthority } from "../../support/servers/certificates.ts";
import { disposable, type EdgeDoor, listening, openEdge } from "../../support/servers/edge-listener.ts";
import { startNats, type TestNats } from "../../support/servers/nats.ts";
import { type ConnectOpts, startTestCallout } from "../../support/worlds/callout.ts";

describe("the edge", () => {
  let nats: TestNats;
  let logins: ConnectOpts[] = [];
  let door: EdgeDoor;
  before(async () => {
    nats = await startNats({ streams: false, limits: { appPayload: 1024 * 1024 } });
    await startTestCallout(nats, (options) => {
      logins.push(options);
      return { name: "u", publish: [">"], subscribe: [">"] };
    });
    door = await openDoor();
  });
  beforeEach(() => {
    logins = [];
  });
  after(async () => {
    await door.close();
    await nats[Symbol.asyncDispose]();
  });

  const openDoor = (options: Partial<EdgeOptions> = {}) => openEdge(nats, options);

  it("moves the token to auth_token, puts its statement into pass, and leaves the rest as it is", async () => {
    const headers = { "X-Forwarded-For": "203.0.113.7" };
    assert.ok(await isAdmitted(door.url, { user: "me", pass: "v2/a/b", name: "n" }, headers));
    const [{ auth_token, user, pass, name, lang }] = logins as [ConnectOpts];
    assert.deepEqual([auth_token, user, name, lang], ["v2/a/b", "me", "n", "raw"]);
    assert.match(pass ?? "", /^edge1\|203\.0\.113\.7\|\d+\|/);
  });

  it("puts its own statement in place of one that a client makes up", async () => {
    assert.ok(await isAdmitted(door.url, { auth_token: "t", pass: "edge1|1.1.1.1|9|x", PASS: "edge1|2.2.2.2|9|x" }));
    assert.match(logins[0]?.pass ?? "", /^edge1\|127\.0\.0\.1\|/);
    assert.equal(logins[0]?.auth_token, "t");
  });

  it("takes a token from the upgrade request where CONNECT has none", async () => {
    await isAdmitted(door.url, {}, { Authorization: "Bearer from-header" });
    await isAdmitted(`${door.url}?api_token=from-query`, {});
    await isAdmitted(`${door.url}?api_token=from-query`, { pass: "from-connect" });
    const tokens = logins.map(({ auth_token }) => auth_token);
    assert.deepEqual(tokens, ["from-header", "from-query", "from-connect"]);
  });

  it("takes CONNECT in as many frames as it comes, and what follows it", async () => {
    const client = await openRawClient(door.url);
    client.send("");
    for (const letter of connectLine({ auth_token: "t" })) client.send(letter);
    client.send("PI");
    client.send("NG\r\n");
    await until(() => client.text().includes("PONG\r\n"), "PONG");
    client.socket.close();
    await client.closed;
  });

  it("takes CONNECT before INFO, with what follows it", async () => {
    const socket = new WebSocket(door.url);
    socket.on("open", () => socket.send(`${connectLine({ auth_token: "t" })}SUB x 1\r\nPUB x 2\r\nhi\r\n`));
    let text = "";
    socket.on("message", (data) => {
      text += data;
    });
    await until(() => text.includes("MSG x 1 2\r\nhi\r\n"), "the message");
    socket.close();
  });

  describe("ends, and counts,", () => {
    const garbage: [what: string, sent: string, code: number, reason: string][] = [
      ["what is no CONNECT", "GET / HTTP/1.1\r\n", 4106, "connectInvalid"],
      ["another command", "PUB x 2\r\nhi\r\n", 4106, "connectInvalid"],
      ["a CONNECT without options", "CONNECT nothing\r\n", 4106, "connectInvalid"],
      ["a CONNECT without end", `CONNECT {"user":"${"x".repeat(5_000)}`, 4107, "connectTooLong"],
      ["a large one", "x".repeat(1024 * 1024), 4107, "connectTooLong"],
    ];
    for (const [what, sent, code, reason] of garbage) {
      it(what, async () => {
        const before = door.ended.length;
        const client = await openRawClient(door.url);
        client.send(sent);
        assert.equal((await client.closed).code, code);
        await until(() => door.ended.length > before, "it to be counted");
        assert.deepEqual(door.ended.slice(before), [reason]);
        assert.deepEqual(logins, []);
      });
    }

    it("who says nothing", async () => {
      await using impatient = await disposable(openDoor({ connectWithin: 50 }));
      const client = await openRawClient(impatient.url);
      assert.equal((await client.closed).code, 4015);
      await until(() => impatient.ended.length > 0, "it to be counted");
      assert.deepEqual(impatient.ended, ["connectTimeout"]);
    });

    it("everybody while nats-server is away", async () => {
      const unused = createServer();
      const port = await listening(unused);
      await new Promise((resolve) => unused.close(resolve));
      await using lost = await disposable(openDoor({ natsWebsocketUrl: `ws://127.0.0.1:${port}` }));
      const client = await openRawClient(lost.url);
      assert.equal((await client.closed).code, 4014);
      await until(() => lost.ended.length > 0, "it to be counted");
      assert.deepEqual(lost.ended, ["natsUnreachable"]);
    });

    it("all clients, while nats-server's certificate is not trusted, and its log says what to do", async () => {
      const certificate = createAuthority().issue(["localhost"]);
      const stranger = createTlsServer(certificate);
      const asked: string[] = [];
      new WebSocketServer({ server: stranger }).on("connection", (_, { url }) => void asked.push(url ?? ""));
      await using upstream = await disposable(
        listening(stranger).then((port) => ({
          url: `wss://localhost:${port}`,
          close: () => new Promise<void>((resolve) => stranger.close(() => resolve())),
        })),
      );
      const lines: string[] = [];
      const log = createLog({ format: "json", sink: { write: (line) => void lines.push(line) } });
      await using wary = await disposable(openDoor({ natsWebsocketUrl: upstream.url, log }));
      const client = await openRawClient(wary.url);
      assert.equal((await client.closed).code, 4014);
      const said = await until(() => lines.find((line) => line.includes("a WebSocket was ended")), "a line in the log");
      assert.match(said, /certificate of nats-server at .* is not trusted: .*NODE_EXTRA_CA_CERTS/);
      assert.deepEqual(asked, []);
    });

    it("a page of an origin that nats-server does not take", async () => {
      const conf = { clusterId: "zzzzz", keys: publicKeys(generateKeys()), allowedOrigins: ["https://good.example"] };
      await using strict: NatsServer = await startNatsServer({ conf });
      await using picky = await disposable(openDoor({ natsWebsocketUrl: strict.websocketUrl }));
      const bad = await openRawClient(picky.url, { Origin: "https://bad.example" });
      assert.equal((await bad.closed).code, 4108);
      const good = await openRawClient(picky.url, { Origin: "https://good.example" });
      assert.match(good.text(), /^INFO /);
    });

    it("all when it is drained", async () => {
      await using leaving = await disposable(openDoor());
      const client = await openRawClient(leaving.url);
      leaving.edge.close();
      assert.equal((await client.closed).code, 4011);
      await until(() => leaving.ended.length > 0, "it to be counted");
      assert.deepEqual(leaving.ended, ["draining"]);
    });
  });

  it("passes on why nats-server closes", async () => {
    const client = await openRawClient(door.url);
    client.send(`${connectLine({ auth_token: "t" })}PUB x 9999999\r\n`);
    assert.deepEqual(await client.closed, { code: 1009, reason: "Maximum Message Payload Exceeded" });
    assert.match(client.text(), /-ERR 'Maximum Payload Violation'\r\n$/);
  });

  it("loses nothing of what a client sends before it closes", async () => {
    const watcher = await nats.connectUser({ token: "t" });
    let bytes = 0;
    watcher.subscribe("bulk", {
      callback(_error, message) {
        bytes += message.data.length;
      },
    });
    await watcher.flush();
    const client = await openRawClient(door.url);
    const body = "x".repeat(1000);
    client.send(connectLine({ auth_token: "t" }));
    for (let i = 0; i < 1_000; i++) client.send(`PUB bulk 1000\r\n${body}\r\n`);
    client.socket.close();
    await client.closed;
    await until(() => bytes === 1_000_000, "all of it");
  });

  it("carries large messages whole, both ways", async () => {
    const client = await openRawClient(door.url);
    client.send(`${connectLine({ auth_token: "t" })}SUB big 1\r\n`);
    const body = Array.from({ length: 100_000 }, (_, i) => String(i).padStart(10))
      .join("")
      .slice(0, 1_000_000);
    client.send(`PUB big 1000000\r\n${body}\r\n`);
    await until(() => client.text().endsWith(`MSG big 1 1000000\r\n${body}\r\n`), "the message");
    client.socket.close();
    await client.closed;
  });

  describe("proves by its key that it is the edge", () => {
    it("to nats-server, which refuses it with another key, and asks nobody", async () => {
      await using false_ = await disposable(openDoor({ seed: generateKeys().edge.seed }));
      assert.equal(await isAdmitted(false_.url, { auth_token: "t" }), false);
      assert.deepEqual(logins, []);
    });

    it("to authcallout alone while it has two keys, since each nats-server may know but one of them", async () => {
      const two = `${generateKeys().edge.seed} ${nats.keys.edge.seed}`;
      await using changing = await disposable(openDoor({ seed: two }));
      assert.equal(await isAdmitted(changing.url, { auth_token: "t" }), true);
      assert.match(logins[0]?.pass ?? "", /^edge1\|127\.0\.0\.1\|\d+\|[\w-]{86}\|[\w-]{86}$/);
    });

    it("by nothing but the signature of the nonce: without one a client is an ordinary one", async () => {
      const direct = nats.server.websocketUrl;
      const admitted = async (key: string | null) => {
        const client = await openRawClient(direct);
        const { nonce } = JSON.parse(client.text().slice("INFO ".length)) as { nonce: string };
        const signed = key && sign(null, Buffer.from(nonce), signingKey(seedBytes("user", key))).toString("base64url");
        client.send(`${connectLine({ auth_token: "t", ...(signed ? { proxy_sig: signed } : {}) })}PING\r\n`);
        const [outcome] = await until(() => /PONG|-ERR/.exec(client.text()), "an answer");
        client.socket.close();
        return outcome === "PONG";
      };
      assert.deepEqual(
        [await admitted(null), await admitted(nats.keys.edge.seed), await admitted(generateKeys().edge.seed)],
        [true, true, false],
      );
    });
  });

  describe("with a client that does not read", () => {
    const BYTES = 48 * 1024 * 1024;
    const LITTLE_BYTES = 4 * 1024 * 1024;

    /** Subscribes, stops reading, has much published, and returns by how much this process' buffers grew. */
    async function growth(url: string): Promise<{ grown: number; client: RawClient }> {
      const client = await openRawClient(url);
      client.send(`${connectLine({ auth_token: "t" })}SUB flood 1\r\nPING\r\n`);
      await until(() => client.text().includes("PONG\r\n"), "the subscription");
      client.socket.pause();
      const publisher = await nats.connectUser({ token: "t" });
      const body = Buffer.alloc(64 * 1024);
      const before = held();
      for (let sent = 0; sent < BYTES; sent += body.length) {
        publisher.publish("flood", body);
        await publisher.flush();
        await new Promise(setImmediate);
      }
      const grown = held() - before;
      await publisher.close();
      return { grown, client };
    }

    it("holds little, where a tunnel without back-pressure holds all of it", async () => {
      const careful = await growth(door.url);
      careful.client.socket.terminate();
      await using careless = await startCarelessTunnel(nats.server.websocketUrl);
      const other = await growth(careless.url);
      other.client.socket.terminate();
      assert.ok(careful.grown < LITTLE_BYTES, `the edge held ${careful.grown}`);
      assert.ok(other.grown > LITTLE_BYTES, `the other one held ${other.grown}`);
    });

    it("gives it up after a while", async () => {
      await using strict = await disposable(openDoor({ stalledAfter: 100 }));
      const { client } = await growth(strict.url);
      // Nothing shows that the time is over: the client does not read.
      await new Promise((resolve) => setTimeout(resolve, 300));
      client.socket.resume();
      assert.equal((await client.closed).code, 4012);
      await until(() => strict.ended.length > 0, "it to be counted");
      assert.deepEqual(strict.ended, ["slowConsumer"]);
    });
  });
});

/** Bytes that this process holds in buffers. */
function held(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().arrayBuffers;
}

/** What the edge would be without its pauses. */
async function startCarelessTunnel(natsUrl: string): Promise<{ url: string } & AsyncDisposable> {
  const server = createServer();
  const acceptor = new WebSocketServer({ server });
  acceptor.on("connection", (client) => {
    const upstream = new WebSocket(natsUrl);
    upstream.on("message", (data) => client.send(data));
    client.on("message", (data) => upstream.send(data));
    client.on("close", () => upstream.terminate());
  });
  const port = await listening(server);
  return {
    url: `ws://127.0.0.1:${port}/nats`,
    async [Symbol.asyncDispose]() {
      for (const client of acceptor.clients) client.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
