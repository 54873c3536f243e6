/**
 * One client's tunnel to nats-server. The edge holds the client's CONNECT until it is complete and nats-server's nonce is known, and sends
 * the line that `connect` writes; it holds INFO until it is complete, and sends it to the client without internal addresses. Then both
 * directions are bytes: the edge tracks frames and decodes none, and reads each end only as fast as the other end takes the bytes.
 */
import type { Socket } from "node:net";
import { CLOSE_CODES, type CloseName } from "../../core/close-codes.ts";
import type { ConnectFields } from "./connect-line.ts";
import { FirstLines } from "./first-lines.ts";
import { FRAME_FAULTS, type FrameFault, FrameTracker, formatClose, formatFrame, OPCODE } from "./frames.ts";
import type { UpstreamParts } from "./upstream.ts";

/** How much may wait for a slow end before the other end is paused. */
const WAITING_BYTES = 64 * 1024;
/** nats-server's max_payload, and protocol text that a client may put into the same WebSocket message. */
const CLIENT_FRAMES = { masked: true, messageBytes: 2 * 1024 * 1024 };
/** nats-server sends all that waits for a client, up to its max_pending, as one message in many frames. */
const SERVER_FRAMES = { masked: false, messageBytes: 256 * 1024 * 1024 };
/** How long both ends have to close after one of them has begun. */
const CLOSE_WITHIN_MS = 5_000;

const NORMAL = 1000;
const GOING_AWAY = 1001;
const PING = formatFrame(OPCODE.ping, Buffer.alloc(0), false);

export type TunnelParts = {
  client: Socket;
  /** What came behind the client's request. */
  head: Buffer;
  dial: (on: Pick<UpstreamParts, "onRefused" | "onFrames">) => Socket;
  /** Milliseconds for CONNECT to come. */
  connectWithin: number;
  /** Milliseconds that an end has to read what waits for it. */
  stalledAfter: number;
  /** The line for nats-server. */
  connect: (options: ConnectFields, nonce: string | null) => Buffer;
  /** nats-server's listener does not upgrade. */
  onRefused: (status: number | null) => CloseName;
  onUpstreamError: (error: Error) => void;
  /** Called once. `because` null: one of the ends closed normally. */
  onEnd: (because: CloseName | null) => void;
};

export class Tunnel {
  readonly #parts: TunnelParts;
  readonly #upstream: Socket;
  readonly #clientFrames = new FrameTracker(CLIENT_FRAMES);
  readonly #serverFrames = new FrameTracker(SERVER_FRAMES);
  /** Null once both lines have arrived. */
  #first: FirstLines | null = new FirstLines();
  #deadline: NodeJS.Timeout;
  /** A Close frame for the client, sent as soon as the server's current frame has ended. */
  #closeFrame: Buffer | null = null;
  /** Ends that are too slow, each with the timer that gives it up. */
  readonly #stalled = new Map<Socket, NodeJS.Timeout>();
  #isEnding = false;
  #isClosing = false;
  #because: CloseName | null = null;
  #written = 0;

  constructor(parts: TunnelParts) {
    this.#parts = parts;
    const { client, head, dial, connectWithin, onRefused, onUpstreamError } = parts;
    this.#deadline = setTimeout(
      () => this.end(this.#first?.options ? "natsUnreachable" : "connectTimeout"),
      connectWithin,
    );
    client.on("data", (chunk: Buffer) => this.#fromClient(chunk));
    // After an error the socket closes, and `close` follows.
    client.on("error", () => {});
    client.on("end", () => this.#clientEnded());
    client.on("close", () => this.#clientClosed());
    this.#upstream = dial({
      onRefused: (status) => this.end(onRefused(status)),
      onFrames: (chunk) => this.#fromServer(chunk),
    });
    this.#upstream.on("error", onUpstreamError);
    this.#upstream.on("end", () => this.#serverEnded());
    this.#upstream.on("close", () => this.#serverEnded());
    if (head.length > 0) this.#fromClient(head);
  }

  /** Closes both ends; the client gets code and reason. */
  end(because: CloseName): void {
    const { code, reason } = CLOSE_CODES[because];
    if (this.#end(code, reason)) this.#because = because;
  }

  /**
   * To be called regularly: pings the client if nothing was written to it since the last call, because proxies in between cut idle
   * connections. nats-server pings only clients that send nothing either.
   */
  keepAlive(): void {
    const { client } = this.#parts;
    const isIdle = client.bytesWritten === this.#written && client.writableLength === 0;
    if (isIdle && !this.#isEnding && !this.#isClosing && this.#serverFrames.isBetweenFrames) client.write(PING);
    else this.#written = client.bytesWritten;
  }

  #fromClient(chunk: Buffer): void {
    const first = this.#first;
    if (first && !this.#isEnding) return this.#readConnect(first, chunk);
    const fault = this.#clientFrames.push(chunk);
    if (fault) return this.#fault(fault);
    if (this.#clientFrames.hasClosed) this.#closing();
    if (!this.#isEnding) return this.#pass(this.#parts.client, this.#upstream, chunk);
    if (this.#clientFrames.hasClosed) this.#parts.client.end();
  }

  #fromServer(chunk: Buffer): void {
    if (this.#isEnding && this.#closeFrame === null) return;
    const first = this.#first;
    if (first?.readsServer) return this.#readInfo(first, chunk);
    const { client } = this.#parts;
    const bytes = this.#closeFrame ? chunk.subarray(0, this.#serverFrames.leftOf(chunk)) : chunk;
    if (this.#serverFrames.push(bytes)) return this.end("natsUnreachable");
    if (this.#serverFrames.hasClosed) this.#closing();
    this.#pass(this.#upstream, client, bytes);
    if (this.#closeFrame && this.#serverFrames.isBetweenFrames) this.#sendClose(this.#closeFrame);
  }

  #readConnect(first: FirstLines, chunk: Buffer): void {
    const { client } = this.#parts;
    const read = first.readClient(chunk);
    for (const pong of read.pongs) client.write(formatFrame(OPCODE.pong, pong, false));
    if (read.fault) return read.fault === "tooLarge" ? this.end("connectTooLong") : this.#fault(read.fault);
    if (read.refused) return this.end(read.refused);
    if (read.hasClosed) return void this.#end(NORMAL, "");
    if (first.readsClient) return;
    if (first.readsServer) client.pause();
    this.#open(first);
  }

  #readInfo(first: FirstLines, chunk: Buffer): void {
    const read = first.readServer(chunk);
    if (read === "invalid") return this.end("natsUnreachable");
    if (read === null) return;
    this.#parts.client.write(formatFrame(OPCODE.binary, read.info, false));
    if (read.rest.length > 0) this.#fromServer(read.rest);
    this.#open(first);
  }

  /** Both lines have arrived: from here on bytes pass. */
  #open(first: FirstLines): void {
    const { options, nonce } = first;
    if (options === undefined || nonce === undefined || this.#isEnding) return;
    clearTimeout(this.#deadline);
    this.#first = null;
    const { client, connect } = this.#parts;
    const line = Buffer.concat([connect(options, nonce), first.behindConnect]);
    this.#upstream.write(formatFrame(OPCODE.binary, line, true));
    if (first.clientRest.length > 0) this.#fromClient(first.clientRest);
    client.resume();
  }

  #pass(from: Socket, to: Socket, chunk: Buffer): void {
    if (!to.writable) return;
    to.write(chunk);
    if (to.writableLength <= WAITING_BYTES || this.#stalled.has(to)) return;
    from.pause();
    this.#stalled.set(
      to,
      setTimeout(() => this.end("slowConsumer"), this.#parts.stalledAfter),
    );
    to.once("drain", () => {
      this.#unstall(to);
      from.resume();
    });
  }

  #unstall(end: Socket): void {
    clearTimeout(this.#stalled.get(end));
    this.#stalled.delete(end);
  }

  #fault(fault: FrameFault): void {
    const { code, reason } = FRAME_FAULTS[fault];
    this.#end(code, reason);
  }

  /** False if the tunnel is ending already. */
  #end(code: number, reason: string): boolean {
    if (this.#isEnding) return false;
    this.#isEnding = true;
    clearTimeout(this.#deadline);
    const frame = formatClose(code, reason, false);
    this.#closing();
    if (this.#serverFrames.isBetweenFrames) this.#sendClose(frame);
    else if (this.#upstream.readableEnded || this.#upstream.destroyed) this.#parts.client.destroy();
    else this.#closeFrame = frame;
    return true;
  }

  #sendClose(frame: Buffer): void {
    const { client } = this.#parts;
    this.#closeFrame = null;
    if (!this.#serverFrames.hasClosed && client.writable) client.write(frame);
    if (this.#clientFrames.hasClosed || client.readableEnded) client.end();
    // A paused socket would miss the client's Close frame.
    client.resume();
    this.#leaveServer();
  }

  #leaveServer(): void {
    const upstream = this.#upstream;
    if (this.#clientFrames.isBetweenFrames && !this.#clientFrames.hasClosed && upstream.writable)
      upstream.write(formatClose(NORMAL, "", true));
    upstream.end();
    // A paused socket would never end; what still arrives is dropped.
    upstream.resume();
  }

  /** One end has begun to close: both must be closed after a while. */
  #closing(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      this.#parts.client.destroy();
      this.#upstream.destroy();
    }, CLOSE_WITHIN_MS);
  }

  /** The client will send nothing any more. */
  #clientEnded(): void {
    this.#closing();
    if (!this.#isEnding) {
      this.#isEnding = true;
      this.#leaveServer();
    }
    this.#parts.client.end();
  }

  #clientClosed(): void {
    this.#unstall(this.#parts.client);
    this.#clientEnded();
    if (this.#upstream.closed) clearTimeout(this.#deadline);
    this.#parts.onEnd(this.#because);
  }

  #serverEnded(): void {
    this.#unstall(this.#upstream);
    if (this.#parts.client.closed) clearTimeout(this.#deadline);
    if (this.#first?.readsServer) return this.end("natsUnreachable");
    // The server's Close frame has been passed on: it says why.
    if (this.#serverFrames.hasClosed) this.#clientEnded();
    else if (this.#closeFrame) this.#parts.client.destroy();
    else this.#end(GOING_AWAY, "nats-server has broken off");
  }
}
