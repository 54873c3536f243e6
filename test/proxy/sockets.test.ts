/** Every listener of ours, and what a client's socket may do at each moment: it ends that socket, and nothing besides. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { Demo } from "../../dev/demo-routes.ts";
import { startLoopbackServer } from "../../dev/servers/loopback-server.ts";
import { until } from "../../dev/testing/until.ts";
import { createApp } from "../../proxy/app.ts";
import { passToArvados } from "../../proxy/edge/api-proxy.ts";
import type { Edge } from "../../proxy/edge/edge.ts";
import { createPublicListener, type PublicListenerOptions } from "../../proxy/public-listener.ts";
import { startAdminServer } from "../../runtime/admin-server.ts";
import { silentLog } from "../../runtime/log/log.ts";
import { createMetrics } from "../../runtime/metrics.ts";
import { generateKeys } from "../../streams-config/keys.ts";
import { connectLine } from "../support/clients/raw-client.ts";
import { askRaw, openRawSocket, type RawSocket } from "../support/clients/raw-http.ts";

const UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
const KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const head = (line: string, headers = "") => `${line} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`;
const TUNNEL = head("GET /nats", UPGRADE + KEY);

type State = [when: string, sent: string, reached?: (raw: RawSocket) => boolean | Promise<boolean>];

/** Of any HTTP listener. */
const HTTP_STATES: State[] = [
  ["before a request", ""],
  ["within the request line", "GET /x"],
  ["within the headers", "GET /x HTTP/1.1\r\nHost: a\r\nX-Long: "],
  ["within a body", head("POST /x", "Content-Length: 100\r\n").concat("abc")],
  ["within a chunk", head("POST /x", "Transfer-Encoding: chunked\r\n").concat("a\r\nabc")],
  ["after garbage", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
  ["after an answer", head("GET /x"), ({ text }) => text().includes("\r\n\r\n")],
  ["with an upgrade for nobody", head("GET /x", UPGRADE + KEY)],
  ["with an upgrade for nobody, answered", head("GET /x", UPGRADE + KEY), ({ text }) => text().includes("\r\n\r\n")],
  ["with an upgrade for nobody, and frames behind it", head("GET /x", UPGRADE + KEY).concat("\x81\x85abcdefghi")],
  [
    "with an upgrade to h2c",
    head("GET /x", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"),
  ],
  ["with CONNECT", "CONNECT localhost:22 HTTP/1.1\r\nHost: localhost:22\r\n\r\nSSH-2.0"],
];

const WAYS: [what: string, end: (raw: RawSocket) => void][] = [
  ["a reset", ({ socket }) => socket.resetAndDestroy()],
  ["a half-close", ({ socket }) => socket.end()],
  ["both", ({ socket }) => socket.end(() => socket.resetAndDestroy())],
];

async function listening<S extends Server | TcpServer>(server: S): Promise<{ server: S; port: number }> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, port: (server.address() as { port: number }).port };
}

function connectionsOf(server: Server | TcpServer): Promise<number> {
  return new Promise((resolve) => server.getConnections((_, count) => resolve(count)));
}

/** A mocha run fails on what nobody caught: a process of ours would end. */
describe("a socket's end ends that socket only:", () => {
  it("where a refusal that hears no error ends the whole process (negative control)", async () => {
    const careless = `
      const server = require("node:http").createServer();
      server.on("upgrade", (_, socket) => socket.end("HTTP/1.1 404 Not Found\\r\\n\\r\\n"));
      server.listen(0, "127.0.0.1", () => console.log(server.address().port));`;
    const child = spawn(process.execPath, ["-e", careless], { stdio: ["ignore", "pipe", "ignore"] });
    const ended = once(child, "exit");
    try {
      const [port] = await once(child.stdout, "data");
      const raw = await openRawSocket(`http://127.0.0.1:${String(port).trim()}`);
      raw.socket.write(head("GET /x", UPGRADE + KEY));
      await until(() => raw.text().includes("404"), "the refusal");
      raw.socket.resetAndDestroy();
      const [code] = await ended;
      assert.equal(code, 1);
    } finally {
      child.kill("SIGKILL");
      await ended;
    }
  });

  describe("the admin port of every service", () => {
    let url = "";
    let close: () => Promise<void>;
    before(async () => {
      ({ url, close } = await startAdminServer({
        ...{ address: { host: "127.0.0.1", port: 0 }, what: "it", setting: "x", readiness: () => ({}) },
        metrics: createMetrics("proxy"),
      }));
    });
    after(() => close());
    for (const [when, sent, reached] of HTTP_STATES) {
      it(when, async () => {
        for (const [, end] of WAYS) await endAt(url, sent, reached, end);
        assert.match(await askRaw(url, head("GET /livez", "Connection: close\r\n")), /^HTTP\/1\.1 200 /);
      });
    }
  });

  describe("what stands for the Arvados API in the demo", () => {
    for (const [when, sent, reached] of HTTP_STATES) {
      it(when, async () => {
        await using server = await startLoopbackServer((_, response) => void response.end("ok"));
        for (const [, end] of WAYS) await endAt(server.url, sent, reached, end);
        assert.match(await askRaw(server.url, head("GET /", "Connection: close\r\n")), /^HTTP\/1\.1 200 /);
      });
    }
  });

  describe("the proxy's door", () => {
    let door: Door;
    before(async () => {
      door = await openDoor();
    });
    after(() => door.close());

    const api = (line: string, headers = "") => head(line, headers);
    const tunnels = (count: number) => () => door.upstream.clients.size === count;
    const DOOR_STATES: State[] = [
      ...HTTP_STATES,
      ["within the demo's request", head("POST /demo/do/share", "Content-Length: 5\r\n").concat("a")],
      ["with a handshake that is none", head("GET /nats", UPGRADE)],
      [
        "with a handshake that is none, answered",
        head("GET /nats", UPGRADE),
        ({ text }) => text().includes("\r\n\r\n"),
      ],
      ["with a handshake", TUNNEL],
      ["in the tunnel, before CONNECT", TUNNEL, ({ text }) => text().includes("INFO ")],
      ["in the tunnel, within a frame", TUNNEL.concat("\x82\xfe"), tunnels(1)],
      [
        "in the tunnel, with a frame that is none",
        TUNNEL.concat("\xff\xff\xff\xff"),
        ({ text }) => text().includes("101"),
      ],
      ["in the tunnel, after CONNECT", TUNNEL.concat(frame(connectLine({}))), () => door.connects() === 1],
      [
        "in the tunnel, while much comes",
        TUNNEL.concat(frame(connectLine({ name: "flood" }))),
        () => door.connects() === 1,
      ],
      ["while the API's answer begins", api("GET /arvados/v1/silent"), () => door.asked() === 1],
      ["within the API's answer", api("GET /arvados/v1/half"), ({ text }) => text().includes("half")],
      [
        "within a body for the API",
        api("PUT /arvados/v1/silent", "Content-Length: 9\r\n").concat("a"),
        () => door.asked() === 1,
      ],
      [
        "with the API's answer broken off",
        api("GET /arvados/v1/broken"),
        ({ text, isClosed }) => isClosed() || text() !== "",
      ],
    ];
    for (const [when, sent, reached] of DOOR_STATES) {
      it(when, async () => {
        for (const [, end] of WAYS) {
          door.reset();
          await endAt(door.url, sent, reached, end);
          await until(async () => (await connectionsOf(door.server)) === 0, `no connection (${when})`, 8_000);
          await until(() => door.edge.sockets() === 0 && door.edge.pending() === 0, "no tunnel");
          await until(async () => (await door.inside()) === 0, "no connection inside", 8_000);
        }
        const answer = await askRaw(door.url, head("GET /.well-known/arvados-nats", "Connection: close\r\n"));
        assert.match(answer, /^HTTP\/1\.1 200 /);
      });
    }

    it("while nats-server takes the connection and says nothing", async () => {
      const mute = await listening(createTcpServer((socket) => void socket.on("error", () => {}).resume()));
      const deaf = await openDoor({ natsWebsocketUrl: `ws://127.0.0.1:${mute.port}`, connectWithin: 10_000 });
      try {
        for (const [, end] of WAYS) {
          await endAt(deaf.url, TUNNEL, async () => (await connectionsOf(mute.server)) === 1, end);
          await until(async () => (await connectionsOf(mute.server)) === 0, "nats-server's side to end");
          await until(() => deaf.edge.sockets() === 0 && deaf.edge.pending() === 0, "no tunnel");
        }
      } finally {
        await deaf.close();
        await new Promise((resolve) => mute.server.close(resolve));
      }
    });

    it("while nats-server takes nothing", async () => {
      const deaf = await openDoor({ stalledAfter: 200 });
      try {
        for (const [, end] of WAYS) {
          deaf.reset();
          const raw = await openRawSocket(deaf.url);
          raw.socket.write(TUNNEL.concat(frame(connectLine({ name: "deaf" }))), "latin1");
          await until(() => deaf.connects() === 1, "CONNECT");
          const much = Buffer.from(frame("x".repeat(32_000)), "latin1");
          for (let i = 0; i < 300; i++) raw.socket.write(much);
          end(raw);
          await until(() => deaf.edge.sockets() === 0 && deaf.edge.pending() === 0, "no tunnel", 12_000);
          raw.socket.destroy();
        }
      } finally {
        await deaf.close();
      }
    });

    it("when nats-server resets it, before CONNECT and after it", async () => {
      for (const [sent, reached] of [
        [TUNNEL, () => door.upstream.clients.size === 1],
        [TUNNEL.concat(frame(connectLine({}))), () => door.connects() === 1],
      ] as const) {
        door.reset();
        const raw = await openRawSocket(door.url);
        raw.socket.write(sent, "latin1");
        await until(reached, "nats-server's side of the tunnel");
        door.resetInside();
        await until(() => raw.text().includes("\x88"), "a close frame");
        raw.socket.end();
        await until(() => door.edge.sockets() === 0 && door.edge.pending() === 0, "no tunnel");
      }
    });

    it("serves what is not ours to upgrade as plain HTTP, and hands the API's over without it", async () => {
      const page = await askRaw(door.url, head("GET /.well-known/arvados-nats", UPGRADE + KEY));
      assert.match(page, /^HTTP\/1\.1 200 [\s\S]*"clusterId":"zzzzz"/);
      assert.match(await askRaw(door.url, head("GET /x", UPGRADE + KEY)), /^HTTP\/1\.1 404 /);
      assert.match(await askRaw(door.url, head("GET /natsx?/nats", UPGRADE + KEY)), /^HTTP\/1\.1 404 /);
      const posted = head("POST /arvados/v1/echo", "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n");
      assert.match(await askRaw(door.url, `${posted}body`), /^HTTP\/1\.1 200 [\s\S]*body/);
      assert.match(await askRaw(door.url, head("GET /nats", "Connection: close\r\n")), /^HTTP\/1\.1 404 /);
    });

    it("answers a refused upgrade and closes it, although the client keeps its side open", async () => {
      assert.match(await askRaw(door.url, head("GET /nats", UPGRADE)), /^HTTP\/1\.1 400 /);
      assert.match(await askRaw(door.url, head("POST /nats", UPGRADE + KEY)), /^HTTP\/1\.1 405 /);
      await until(async () => (await connectionsOf(door.server)) === 0, "no connection");
    });

    it("gives a client its time for the headers, and closes", async () => {
      const hasty = await openDoor({ headersMs: 300 });
      try {
        for (const sent of ["", "GET /x HTTP/1.1\r\nHost: a\r\nX: "]) {
          const raw = await openRawSocket(hasty.url);
          raw.socket.write(sent);
          const drip = setInterval(() => sent !== "" && raw.socket.write("y"), 20);
          await until(raw.isClosed, `the end of a client that sent ${JSON.stringify(sent)}`, 5_000);
          clearInterval(drip);
          raw.socket.destroy();
        }
        assert.match(await askRaw(hasty.url, head("GET /x", `X: ${"y".repeat(40_000)}\r\n`)), /^HTTP\/1\.1 431 /);
      } finally {
        await hasty.close();
      }
    });
  });
});

async function endAt(url: string, sent: string, reached: State[2], end: (raw: RawSocket) => void): Promise<void> {
  const raw = await openRawSocket(url);
  raw.socket.write(sent, "latin1");
  if (reached)
    await until(() => reached(raw), `the state after ${JSON.stringify(sent.slice(0, 200))}, got ${raw.text()}`);
  end(raw);
  await until(raw.isClosed, "the socket to be closed", 10_000);
  raw.socket.destroy();
}

/** As browsers send it, but with a mask of zeros. */
function frame(text: string): string {
  const length = Buffer.from([text.length >> 8, text.length & 0xff]).toString("latin1");
  return `\x82\xfe${length}\0\0\0\0${text}`;
}

type Door = {
  url: string;
  server: Server;
  edge: Edge;
  upstream: WebSocketServer;
  /** CONNECT lines that came through since `reset`. */
  connects(): number;
  /** Requests that came to the API since then. */
  asked(): number;
  reset(): void;
  /** Open connections of nats-server and the API. */
  inside(): Promise<number>;
  /** nats-server resets all of its own. */
  resetInside(): void;
  close(): Promise<void>;
};

async function openDoor(options: Partial<PublicListenerOptions> = {}): Promise<Door> {
  let connects = 0;
  let asked = 0;
  const nats = await listening(createServer());
  const upstream = new WebSocketServer({ server: nats.server });
  upstream.on("connection", (socket: WebSocket) => {
    socket.on("error", () => {});
    socket.send('INFO {"server_id":"x","nonce":"abcdefgh"}\r\n');
    socket.on("message", (data) => {
      connects++;
      if (String(data).includes("deaf")) socket.pause();
      if (String(data).includes("flood")) for (let i = 0; i < 100; i++) socket.send(Buffer.alloc(64 * 1024));
    });
  });
  const arvados = await listening(
    createServer((request, response) => {
      asked++;
      if (request.url?.endsWith("echo")) request.pipe(response);
      else if (request.url?.endsWith("half")) response.writeHead(200, { "Content-Length": "100" }).write("half");
      else if (request.url?.endsWith("broken")) {
        response.writeHead(200, { "Content-Length": "100" }).write("half", () => request.socket.resetAndDestroy());
      }
    }),
  );
  const isForwarder = () => false;
  const app = createApp({
    ...{ clusterId: "zzzzz", publicWebsocketUrl: null, publicNatsUrl: null, serviceVersion: "0", consoleDir: "/none" },
    api: passToArvados({ url: `http://127.0.0.1:${arvados.port}`, isForwarder, log: silentLog(), onAnswer: () => {} }),
  });
  new Demo({} as never, {} as never).addRoutes(app);
  const { server, edge } = createPublicListener(app, {
    natsWebsocketUrl: `ws://127.0.0.1:${nats.port}`,
    seed: generateKeys().edge.seed,
    isForwarder,
    connectWithin: 5_000,
    stalledAfter: 10_000,
    now: Date.now,
    log: silentLog(),
    onEnded: () => {},
    ...options,
  });
  const { port } = await listening(server);
  return {
    url: `http://127.0.0.1:${port}`,
    server,
    edge,
    upstream,
    connects: () => connects,
    asked: () => asked,
    reset() {
      [connects, asked] = [0, 0];
    },
    inside: async () => (await connectionsOf(nats.server)) + (await connectionsOf(arvados.server)),
    resetInside() {
      for (const client of upstream.clients)
        (client as unknown as { _socket: import("node:net").Socket })._socket.resetAndDestroy();
    },
    async close() {
      edge.close();
      // One that is paused does not hear that its peer has gone.
      for (const client of upstream.clients) client.terminate();
      for (const each of [server, nats.server, arvados.server]) {
        each.closeAllConnections();
        await new Promise((resolve) => each.close(resolve));
      }
    },
  };
}
