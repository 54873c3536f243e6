/**
 * One client's way to nats-server: two WebSockets. The client's CONNECT is held until it is whole and nats-server's nonce is known, and
 * goes on as `connect` writes it; INFO is held until it is whole, and goes to the client without what names addresses inside. From then
 * on messages pass as they are, each way no faster than the other end takes them.
 */
import type { Socket } from "node:net";
import type { RawData, WebSocket } from "ws";
import { CLOSE_CODES, type CloseName } from "../../core/close-codes.ts";
import { type ConnectFields, clientInfo, readConnect, readInfo } from "./connect-line.ts";

/** What may wait for a slow end before the other one is no longer read. */
const WAITING_BYTES = 64 * 1024;
/** Of everything until CONNECT is whole, messages that are not whole included. */
const EARLY_BYTES = 64 * 1024;

const NO_STATUS = 1005;
const ABNORMAL = 1006;
const NORMAL = 1000;
const GOING_AWAY = 1001;

export type TunnelParts = {
  client: WebSocket;
  /** The client's; read by `client`. */
  socket: Socket;
  /** May still be connecting. */
  server: WebSocket;
  /** Milliseconds for CONNECT to come. */
  connectWithin: number;
  /** Milliseconds for an end to take what waits for it. */
  stalledAfter: number;
  /** The line for nats-server. */
  connect: (options: ConnectFields, nonce: string | null) => Buffer;
  /** Once. `because` null: one of the ends closed in order. */
  onEnd: (because: CloseName | null) => void;
};

export class Tunnel {
  readonly #parts: TunnelParts;
  readonly #deadline: NodeJS.Timeout;
  readonly #readBefore: number;
  #closing = false;
  #because: CloseName | null = null;
  #fromServer = Buffer.alloc(0);
  #fromClient = Buffer.alloc(0);
  #nonce: string | null | undefined;
  #written = 0;
  #options: ConnectFields | undefined;

  constructor(parts: TunnelParts) {
    this.#parts = parts;
    const { client, server, socket, connectWithin } = parts;
    this.#readBefore = socket.bytesRead;
    this.#deadline = setTimeout(() => this.end("connectTimeout"), connectWithin);
    socket.on("data", this.#bound);
    client.on("message", this.#takeConnect);
    server.on("message", this.#takeInfo);
    // What is wrong with a socket ends it, and `close` follows.
    client.on("error", () => {});
    client.on("close", () => this.#clientClosed());
    server.on("close", (code, reason) => this.#serverClosed(code, reason));
  }

  /** Closes both ends; the client is told why. */
  end(because: CloseName): void {
    const { code, reason } = CLOSE_CODES[because];
    if (this.#close(code, reason)) this.#because = because;
  }

  /**
   * To be called again and again: pings the client where nothing was written to it since the last call, for proxies between us cut a
   * connection on which nothing comes for a while. nats-server pings only clients that send nothing either.
   */
  keepAlive(): void {
    const { client, socket } = this.#parts;
    const isIdle = socket.bytesWritten === this.#written;
    if (isIdle && client.readyState === client.OPEN && client.bufferedAmount === 0) client.ping();
    else this.#written = socket.bytesWritten;
  }

  readonly #takeInfo = (data: RawData): void => {
    this.#fromServer = Buffer.concat([this.#fromServer, data as Buffer]);
    const read = readInfo(this.#fromServer);
    if (read === "incomplete") return;
    if (read === "invalid") return this.end("natsUnreachable");
    const { client, server } = this.#parts;
    server.off("message", this.#takeInfo);
    this.#nonce = read.nonce;
    if (client.readyState === client.OPEN) client.send(clientInfo(this.#fromServer), { binary: true });
    this.#fromServer = Buffer.alloc(0);
    this.#relay(server, client);
    this.#open();
  };

  readonly #takeConnect = (data: RawData): void => {
    this.#fromClient = Buffer.concat([this.#fromClient, data as Buffer]);
    // What came in one chunk with CONNECT is heard although the socket has been paused.
    if (this.#options) return;
    const read = readConnect(this.#fromClient);
    if ("incomplete" in read) return;
    if ("refused" in read) return this.end(read.refused);
    this.#options = read.options;
    this.#fromClient = Buffer.from(read.rest);
    this.#parts.client.pause();
    this.#open();
  };

  #open(): void {
    const { client, server, connect } = this.#parts;
    if (this.#options === undefined || this.#nonce === undefined) return;
    this.#stopReading();
    server.send(Buffer.concat([connect(this.#options, this.#nonce), this.#fromClient]));
    this.#fromClient = Buffer.alloc(0);
    this.#relay(client, server);
    client.resume();
  }

  #relay(from: WebSocket, to: WebSocket): void {
    let stalled: NodeJS.Timeout | undefined;
    const drained = (): void => {
      if (!stalled || to.bufferedAmount > WAITING_BYTES) return;
      clearTimeout(stalled);
      stalled = undefined;
      from.resume();
    };
    from.on("message", (data, binary) => {
      if (to.readyState !== to.OPEN) return;
      to.send(data, { binary }, drained);
      if (stalled || to.bufferedAmount <= WAITING_BYTES) return;
      from.pause();
      stalled = setTimeout(() => this.end("slowConsumer"), this.#parts.stalledAfter);
    });
    to.on("close", () => clearTimeout(stalled));
  }

  readonly #bound = (): void => {
    const { socket } = this.#parts;
    if (socket.bytesRead - this.#readBefore > EARLY_BYTES) this.end("connectTooLong");
  };

  /** CONNECT is through, or will never be. */
  #stopReading(): void {
    const { client, server, socket } = this.#parts;
    clearTimeout(this.#deadline);
    socket.off("data", this.#bound);
    client.off("message", this.#takeConnect);
    server.off("message", this.#takeInfo);
  }

  #clientClosed(): void {
    this.#close(NORMAL, "");
    this.#parts.onEnd(this.#because);
  }

  #serverClosed(code: number, reason: Buffer): void {
    if (this.#nonce === undefined) this.end("natsUnreachable");
    else if (code === ABNORMAL) this.#close(GOING_AWAY, "nats-server has broken off");
    else this.#close(code === NO_STATUS ? NORMAL : code, reason.toString());
  }

  /** False where that was done before. A paused socket would not hear the other side's part of the closing. */
  #close(code: number, reason: string): boolean {
    if (this.#closing) return false;
    this.#closing = true;
    this.#stopReading();
    const { client, server } = this.#parts;
    client.resume();
    client.close(code, reason);
    server.resume();
    server.close(NORMAL);
    return true;
  }
}
