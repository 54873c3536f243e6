/**
 * One client's tunnel to nats-server: two WebSockets. The edge holds the client's CONNECT until it is complete and nats-server's nonce is
 * known, and sends the line that `connect` writes; it holds INFO until it is complete, and sends it to the client without internal
 * addresses. Then messages pass unchanged, in each direction no faster than the other end reads.
 */
import type { Socket } from "node:net";
import type { RawData, WebSocket } from "ws";
import { CLOSE_CODES, type CloseName } from "../../core/close-codes.ts";
import { type ConnectFields, clientInfo, readConnect, readInfo } from "./connect-line.ts";

/** How much may wait for a slow end before the other end is paused. */
const WAITING_BYTES = 64 * 1024;
/** How much a client may send until CONNECT is complete, parts of messages included. */
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
  /** Milliseconds that an end has to read what waits for it. */
  stalledAfter: number;
  /** The line for nats-server. */
  connect: (options: ConnectFields, nonce: string | null) => Buffer;
  /** Called once. `because` null: one of the ends closed normally. */
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
    client.on("message", this.#onConnect);
    server.on("message", this.#onInfo);
    // After an error the socket closes, and `close` follows.
    client.on("error", () => {});
    client.on("close", () => this.#clientClosed());
    server.on("close", (code, reason) => this.#serverClosed(code, reason));
  }

  /** Closes both ends; the client gets code and reason. */
  end(because: CloseName): void {
    const { code, reason } = CLOSE_CODES[because];
    if (this.#close(code, reason)) this.#because = because;
  }

  /**
   * To be called regularly: pings the client if nothing was written to it since the last call, because proxies in between cut idle
   * connections. nats-server pings only clients that send nothing either.
   */
  keepAlive(): void {
    const { client, socket } = this.#parts;
    const isIdle = socket.bytesWritten === this.#written;
    if (isIdle && client.readyState === client.OPEN && client.bufferedAmount === 0) client.ping();
    else this.#written = socket.bytesWritten;
  }

  readonly #onInfo = (data: RawData): void => {
    this.#fromServer = Buffer.concat([this.#fromServer, data as Buffer]);
    const read = readInfo(this.#fromServer);
    if (read === "incomplete") return;
    if (read === "invalid") return this.end("natsUnreachable");
    const { client, server } = this.#parts;
    server.off("message", this.#onInfo);
    this.#nonce = read.nonce;
    if (client.readyState === client.OPEN) client.send(clientInfo(this.#fromServer), { binary: true });
    this.#fromServer = Buffer.alloc(0);
    this.#relay(server, client);
    this.#open();
  };

  readonly #onConnect = (data: RawData): void => {
    this.#fromClient = Buffer.concat([this.#fromClient, data as Buffer]);
    // Messages in the same chunk as CONNECT still arrive after the socket is paused.
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

  /** CONNECT has been sent on, or never will be. */
  #stopReading(): void {
    const { client, server, socket } = this.#parts;
    clearTimeout(this.#deadline);
    socket.off("data", this.#bound);
    client.off("message", this.#onConnect);
    server.off("message", this.#onInfo);
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

  /** False if the tunnel is closing already. Resumes the sockets: a paused one would miss the close frame of the other side. */
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
