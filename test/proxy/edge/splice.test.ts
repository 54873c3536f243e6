/** The edge between two peers that send frames as they like: what passes unchanged, what ends a socket and with which code, and what others notice. */
import assert from "node:assert/strict";
import { createServer as createHttpServer, type IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { connect } from "node:net";
import { until } from "../../../dev/testing/until.ts";
import { attachEdge, type Edge } from "../../../proxy/edge/edge.ts";
import { type Frame, FrameReader, FrameTracker, formatClose, formatFrame, OPCODE } from "../../../proxy/edge/frames.ts";
import { acceptUpgrade } from "../../../proxy/edge/handshake.ts";
import { silentLog } from "../../../runtime/log/log.ts";
import { generateKeys } from "../../../streams-config/keys.ts";
import { connectLine } from "../../support/clients/raw-client.ts";
import { listening } from "../../support/servers/edge-listener.ts";

const UPGRADE =
  "GET /nats HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const INFO = `INFO ${JSON.stringify({ server_id: "N", nonce: "abcdefgh", headers: true })}\r\n`;
const bytes = (length: number) => Buffer.alloc(length, "x");
const sent = (text: string | Buffer) => formatFrame(OPCODE.binary, Buffer.from(text), true);
const served = (text: string | Buffer) => formatFrame(OPCODE.binary, Buffer.from(text), false);

/** One side of a tunnel, by hand: what came as frames, and as bytes. */
function peer(socket: Socket, masked: boolean) {
  const reader = new FrameReader({ masked, messageBytes: 1e9 });
  const frames: Frame[] = [];
  let received = Buffer.alloc(0);
  let isEnded = false;
  const read = (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    reader.push(chunk);
    for (let frame = reader.next(); frame !== null; frame = reader.next()) {
      assert.ok(typeof frame !== "string", `the edge breaks the protocol: ${String(frame)}`);
      frames.push(frame);
    }
  };
  socket.on("error", () => {});
  socket.on("close", () => {
    isEnded = true;
  });
  socket.on("end", () => {
    isEnded = true;
    socket.end();
  });
  const text = () => Buffer.concat(frames.filter(({ opcode }) => opcode < 8).map(({ payload }) => payload)).toString();
  return {
    socket,
    read,
    frames,
    received: () => received,
    isEnded: () => isEnded,
    text,
    closeCode: () => frames.find(({ opcode }) => opcode === OPCODE.close)?.payload.readUInt16BE(),
  };
}
type Peer = ReturnType<typeof peer>;

describe("the edge between two peers", () => {
  let url: { port: number };
  let edge: Edge;
  let server: ReturnType<typeof createHttpServer>;
  let upstream: ReturnType<typeof createHttpServer>;
  let upstreamPort = 0;
  const inside: Peer[] = [];
  const ended: string[] = [];

  before(async () => {
    upstream = createHttpServer();
    upstream.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
      const answer = acceptUpgrade(request);
      assert.ok(answer instanceof Buffer);
      socket.write(Buffer.concat([answer, served(INFO)]));
      const other = peer(socket, true);
      socket.on("data", other.read);
      other.read(head);
      inside.push(other);
    });
    upstreamPort = await listening(upstream);
  });
  beforeEach(async () => {
    inside.length = 0;
    ended.length = 0;
    server = createHttpServer();
    edge = attachEdge(server, {
      natsWebsocketUrl: `ws://127.0.0.1:${upstreamPort}`,
      seed: generateKeys().edge.seed,
      isForwarder: () => false,
      connectWithin: 5_000,
      stalledAfter: 300,
      now: Date.now,
      log: silentLog(),
      onEnded: (because) => void ended.push(because),
      pingEvery: 40,
    });
    url = { port: await listening(server) };
  });
  afterEach(async () => {
    await until(() => edge.sockets() === 0 && edge.pending() === 0, "all sockets to end", 10_000);
    edge.close();
    await new Promise((resolve) => server.close(resolve));
  });
  after(() => new Promise((resolve) => upstream.close(resolve)));

  /** @param first frames that come in one piece with the request */
  async function dial(first: Buffer = Buffer.alloc(0)): Promise<Peer> {
    const socket = connect({ port: url.port, host: "127.0.0.1" });
    socket.write(Buffer.concat([Buffer.from(UPGRADE), first]));
    const client = peer(socket, false);
    let head = Buffer.alloc(0);
    let isOpen = false;
    socket.on("data", (chunk: Buffer) => {
      if (isOpen) return client.read(chunk);
      head = Buffer.concat([head, chunk]);
      const at = head.indexOf("\r\n\r\n");
      if (at < 0) return;
      isOpen = true;
      client.read(head.subarray(at + 4));
    });
    return client;
  }

  /** Both ends, with CONNECT through. */
  async function tunnel(): Promise<[client: Peer, inside: Peer]> {
    const client = await dial(sent(connectLine({ auth_token: "t" })));
    const other = await until(() => inside[0], "nats-server's side");
    await until(() => other.text().startsWith("CONNECT ") && client.text().startsWith("INFO "), "both first lines");
    return [client, other];
  }

  it("passes bytes as they are, both ways, cut anywhere", async () => {
    const [client, other] = await tunnel();
    const [up, down] = [other.received().length, client.received().length];
    const fromClient = Buffer.concat([sent("PUB"), formatFrame(OPCODE.ping, bytes(3), true), sent(bytes(70_000))]);
    const fromServer = Buffer.concat([served("MSG"), formatFrame(OPCODE.pong, bytes(3), false), served(bytes(200))]);
    for (let at = 0; at < fromClient.length; at += 7_001) client.socket.write(fromClient.subarray(at, at + 7_001));
    for (const byte of fromServer) other.socket.write(Buffer.from([byte]));
    await until(() => other.received().length >= up + fromClient.length, "the client's bytes");
    assert.deepEqual(other.received().subarray(up), fromClient);
    await until(() => client.text().endsWith("x".repeat(200)), "the server's bytes");
    const [mine] = [client.received().subarray(down)];
    // Pings of the edge's own may stand between frames, and nowhere else.
    const passed = Buffer.from(mine.toString("latin1").replaceAll("\x89\x00", ""), "latin1");
    assert.deepEqual(passed, fromServer);
    client.socket.destroy();
  });

  it("reads CONNECT out of one message of many frames, and passes what its message has behind it", async () => {
    const line = Buffer.from(`${connectLine({ auth_token: "t" })}PING\r\n`);
    const frames = [...line].map((byte, i) => {
      const frame = formatFrame(i === 0 ? OPCODE.binary : OPCODE.continuation, Buffer.from([byte]), true);
      if (i < line.length - 1) frame[0] = (frame[0] as number) & 0x7f;
      return frame;
    });
    const client = await dial(Buffer.concat([...frames, sent("SUB x 1\r\n")]));
    const other = await until(() => inside[0], "nats-server's side");
    await until(() => other.text().endsWith("PING\r\nSUB x 1\r\n"), "all of it");
    client.socket.destroy();
  });

  it("answers a ping that comes before CONNECT", async () => {
    const client = await dial(formatFrame(OPCODE.ping, Buffer.from("are you there"), true));
    const pong = await until(() => client.frames.find(({ opcode }) => opcode === OPCODE.pong), "a pong");
    assert.equal(pong.payload.toString(), "are you there");
    client.socket.destroy();
  });

  describe("ends a client's socket, and no other, for", () => {
    const unfinished = formatFrame(OPCODE.binary, bytes(4), true);
    unfinished[0] = OPCODE.binary;
    const BAD: [what: string, bad: Buffer, code: number][] = [
      ["a frame without a mask", served("PING\r\n"), 1002],
      ["a frame with a bit of an extension", Buffer.from([0xc2, 0x80, 1, 2, 3, 4]), 1002],
      ["a frame of no kind", Buffer.from([0x83, 0x80, 1, 2, 3, 4]), 1002],
      ["a control frame in two parts", Buffer.from([0x09, 0x80, 1, 2, 3, 4]), 1002],
      ["a long control frame", Buffer.from([0x89, 0xfe, 0, 200]), 1002],
      ["the second part of no message", Buffer.from([0x80, 0x80, 1, 2, 3, 4]), 1002],
      ["a message within a message", Buffer.concat([unfinished, sent("x")]), 1002],
      ["2^63 bytes", Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]), 1009],
      ["a message of 3 MB", Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0x30, 0, 0]), 1009],
    ];
    for (const [what, bad, code] of BAD) {
      for (const when of ["in one piece", "byte by byte"] as const) {
        it(`${what}, ${when}`, async () => {
          const [other] = await tunnel();
          const neighbours = inside.length;
          const [client] = await tunnelBeside(neighbours);
          for (const piece of when === "in one piece" ? [bad] : [...bad].map((byte) => Buffer.from([byte]))) {
            client.socket.write(piece);
          }
          await until(() => client.closeCode() === code, `code ${code}`);
          client.socket.end();
          await until(client.isEnded, "its end");
          const side = inside[0] as Peer;
          other.socket.write(sent("PING\r\n"));
          await until(() => side.text().endsWith("PING\r\n"), "the other client's message");
          assert.equal(other.isEnded(), false);
          other.socket.destroy();
        });
      }
    }

    /** A tunnel more, where there are `count`. */
    async function tunnelBeside(count: number): Promise<[client: Peer, inside: Peer]> {
      const client = await dial(sent(connectLine({ auth_token: "t" })));
      const other = await until(() => inside[count], "nats-server's side");
      await until(() => other.text().startsWith("CONNECT ") && client.text().startsWith("INFO "), "both first lines");
      return [client, other];
    }
  });

  it("ends the socket of a client whose nats-server masks its frames: that is none", async () => {
    const [client, other] = await tunnel();
    other.socket.write(sent("MSG"));
    await until(() => client.closeCode() === 4014, "code 4014");
    client.socket.destroy();
    await until(() => ended.length > 0, "it to be counted");
    assert.deepEqual(ended, ["natsUnreachable"]);
  });

  it("says why it closes behind the frame under way, and not within it", async () => {
    const [client, other] = await tunnel();
    const frame = served(bytes(1_000));
    other.socket.write(frame.subarray(0, 400));
    await until(() => client.received().length > 400 && client.received().at(-1) === 120, "half a frame");
    edge.close();
    other.socket.write(Buffer.concat([frame.subarray(400), served("never")]));
    await until(() => client.closeCode() === 4011, "code 4011");
    assert.ok(client.text().endsWith("x".repeat(1_000)));
    client.socket.destroy();
  });

  it("breaks off within a frame that will not end, since nothing could be said there", async () => {
    const [client, other] = await tunnel();
    other.socket.write(served(bytes(1_000)).subarray(0, 400));
    await until(() => client.received().at(-1) === 120, "half a frame");
    other.socket.resetAndDestroy();
    await until(client.isEnded, "its end");
    assert.equal(client.closeCode(), undefined);
  });

  it("says that nats-server has broken off where it ends between frames", async () => {
    const [client, other] = await tunnel();
    other.socket.end();
    await until(() => client.closeCode() === 1001, "code 1001");
    client.socket.destroy();
  });

  it("passes each side's Close on, and ends when both have closed", async () => {
    const [client, other] = await tunnel();
    client.socket.write(formatClose(1000, "bye", true));
    await until(() => other.closeCode() === 1000, "the client's Close inside");
    other.socket.end(formatClose(1000, "", false));
    await until(() => client.closeCode() === 1000 && client.isEnded(), "the answer, and the end");
    client.socket.end();
    await until(() => edge.sockets() === 0, "the tunnel to end");
    assert.deepEqual(ended, []);
  });

  it("gives a side that never closes five seconds", async () => {
    const [client, other] = await tunnel();
    other.socket.write(formatClose(1008, "kicked", false));
    await until(() => client.closeCode() === 1008, "the Close");
    await until(client.isEnded, "the end", 8_000);
  }).timeout(12_000);

  it("pings an idle client between frames, and never within one", async () => {
    const [client, other] = await tunnel();
    const pings = () => client.frames.filter(({ opcode }) => opcode === OPCODE.ping).length;
    await until(() => pings() > 1, "pings");
    const frame = served(bytes(1_000));
    other.socket.write(frame.subarray(0, 400));
    await until(() => client.received().at(-1) === 120, "half a frame");
    const [before, had] = [pings(), client.received().length];
    // Some intervals of nothing: what must not come has no sign.
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.deepEqual([pings(), client.received().length], [before, had]);
    other.socket.write(frame.subarray(400));
    await until(() => pings() > before, "pings again");
    client.socket.destroy();
  });

  it("ends a client that stops reading within a frame, and holds little of it", async () => {
    const [client, other] = await tunnel();
    client.socket.pause();
    const header = Buffer.from([0x82, 127, 0, 0, 0, 0, 1, 0, 0, 0]);
    const tracker = new FrameTracker({ masked: false, messageBytes: 1e9 });
    assert.equal(tracker.push(header), null);
    other.socket.write(header);
    other.socket.write(bytes(16 * 1024 * 1024));
    await until(() => other.socket.writableLength > 0 && other.socket.bytesWritten > 0, "a part to be taken");
    // Nothing shows that the time is over: the client does not read.
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.ok(
      other.socket.writableLength > 4 * 1024 * 1024,
      `only ${other.socket.writableLength} bytes are still outside`,
    );
    client.socket.resume();
    await until(() => client.closeCode() === 4012, "code 4012");
    client.socket.destroy();
  }).timeout(30_000);
});
