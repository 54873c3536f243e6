/**
 * The first lines of a tunnel, which the edge has to read: INFO of nats-server and CONNECT of the client, each in any number of frames. Keeps
 * what arrives with them. `tunnel.ts` passes all later bytes on without a look inside. Pure.
 */
import type { CloseName } from "../../core/close-codes.ts";
import { type ConnectFields, clientInfo, readConnect, readInfo } from "./connect-line.ts";
import { type Frame, type FrameFault, FrameReader, OPCODE } from "./frames.ts";

/** How much a client may send until CONNECT is complete, parts of messages included. */
const EARLY_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);

/** What one chunk of the client gave: payloads of pings to answer, and what ends the tunnel. */
type ReadClient = { pongs: Buffer[]; fault?: FrameFault; refused?: CloseName; hasClosed?: boolean };

export class FirstLines {
  readonly #client = new FrameReader({ masked: true, messageBytes: EARLY_BYTES });
  readonly #server = new FrameReader({ masked: false, messageBytes: 2 * EARLY_BYTES });
  #clientBytes = 0;
  #line: Buffer = NOTHING;
  #behind: Buffer[] = [];
  #info: Buffer = NOTHING;
  options: ConnectFields | undefined;
  nonce: string | null | undefined;

  /** CONNECT, or the message that holds its end, is not complete. */
  get readsClient(): boolean {
    return this.options === undefined || !this.#client.isBetweenMessages;
  }

  get readsServer(): boolean {
    return this.nonce === undefined;
  }

  /** What follows CONNECT in the message that holds its end. */
  get behindConnect(): Buffer {
    return Buffer.concat(this.#behind);
  }

  /** The bytes after that message. */
  get clientRest(): Buffer {
    return this.#client.rest;
  }

  readClient(chunk: Buffer): ReadClient {
    const read: ReadClient = { pongs: [] };
    this.#clientBytes += chunk.length;
    if (this.#clientBytes > EARLY_BYTES) return { ...read, refused: "connectTooLong" };
    this.#client.push(chunk);
    while (this.readsClient) {
      const frame = this.#client.next();
      if (frame === null) return read;
      if (typeof frame === "string") return { ...read, fault: frame };
      if (frame.opcode === OPCODE.close) return { ...read, hasClosed: true };
      if (frame.opcode === OPCODE.ping) read.pongs.push(frame.payload);
      else if (frame.opcode !== OPCODE.pong) {
        const refused = this.#readLine(frame);
        if (refused) return { ...read, refused };
      }
    }
    return read;
  }

  #readLine({ payload }: Frame): CloseName | null {
    if (this.options) {
      this.#behind.push(payload);
      return null;
    }
    this.#line = Buffer.concat([this.#line, payload]);
    const read = readConnect(this.#line);
    if ("refused" in read) return read.refused;
    if ("incomplete" in read) return null;
    this.options = read.options;
    this.#behind.push(read.rest);
    return null;
  }

  /** @returns the text for the client (INFO, and what follows it in its message) and the bytes after that message; null if INFO is not complete */
  readServer(chunk: Buffer): { info: Buffer; rest: Buffer } | "invalid" | null {
    this.#server.push(chunk);
    for (;;) {
      const frame = this.#server.next();
      if (frame === null) return null;
      if (typeof frame === "string" || frame.opcode === OPCODE.close) return "invalid";
      if (frame.opcode > OPCODE.close) continue;
      this.#info = Buffer.concat([this.#info, frame.payload]);
      const read = readInfo(this.#info);
      if (read === "invalid") return "invalid";
      if (read === "incomplete" || !this.#server.isBetweenMessages) continue;
      this.nonce = read.nonce;
      return { info: clientInfo(this.#info), rest: this.#server.rest };
    }
  }
}
