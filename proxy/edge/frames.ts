/**
 * WebSocket frames (RFC 6455) as far as the edge needs them: where each one ends, so that something may be put between two, and whether they
 * keep the protocol's rules and our bounds. Payloads of frames that pass are never looked at. Pure.
 */
import { randomFillSync } from "node:crypto";

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Close codes of the protocol itself. */
export const FRAME_FAULTS = {
  protocol: { code: 1002, reason: "the WebSocket protocol was broken" },
  tooLarge: { code: 1009, reason: "the message is too large" },
} as const;
export type FrameFault = keyof typeof FRAME_FAULTS;

/** What the sender of a stream of frames may do. */
export type FrameRules = {
  /** Clients mask their frames, servers do not. */
  masked: boolean;
  /** Bytes of one message, over all its frames. */
  messageBytes: number;
};

const CONTROL_BYTES = 125;

/** The rules that span frames: one message after another, in any number of fragments, with control frames between these. */
class FrameOrder {
  readonly #rules: FrameRules;
  #isWithinMessage = false;
  #messageBytes = 0;

  constructor(rules: FrameRules) {
    this.#rules = rules;
  }

  /** A message has begun and not ended. */
  get isWithinMessage(): boolean {
    return this.#isWithinMessage;
  }

  /** What the first two bytes of a frame already say. */
  begins(first: number, second: number): FrameFault | null {
    const [opcode, short] = [first & 0x0f, second & 0x7f];
    // No extension is ever agreed on, so nobody may use its bits.
    if (first & 0x70 || second >= 0x80 !== this.#rules.masked || opcode > OPCODE.pong) return "protocol";
    if (opcode >= OPCODE.close) {
      const isWhole = first >= 0x80 && short <= CONTROL_BYTES;
      return isWhole && !(opcode === OPCODE.close && short === 1) ? null : "protocol";
    }
    return opcode > OPCODE.binary || (opcode === OPCODE.continuation) !== this.#isWithinMessage ? "protocol" : null;
  }

  fits(opcode: number, length: number): boolean {
    return opcode >= OPCODE.close || this.#messageBytes + length <= this.#rules.messageBytes;
  }

  /** A frame that `begins` and `fits` allow is here. */
  next({ fin, opcode, length }: Header): void {
    if (opcode >= OPCODE.close) return;
    this.#isWithinMessage = !fin;
    this.#messageBytes = fin ? 0 : this.#messageBytes + length;
  }
}

type Header = {
  fin: boolean;
  opcode: number;
  /** Of the header itself, the mask included. */
  bytes: number;
  /** Of the payload; infinite beyond 2^53. */
  length: number;
};

/** Null where more bytes are needed. */
function headerAt(bytes: Buffer, at: number, order: FrameOrder): Header | FrameFault | null {
  const there = bytes.length - at;
  if (there < 2) return null;
  const [first, second] = [bytes[at] as number, bytes[at + 1] as number];
  const fault = order.begins(first, second);
  if (fault) return fault;
  const short = second & 0x7f;
  const lengthBytes = short < 126 ? 0 : short === 126 ? 2 : 8;
  if (there < 2 + lengthBytes) return null;
  const length = lengthBytes === 0 ? short : longLength(bytes, at + 2, lengthBytes);
  if (!order.fits(first & 0x0f, length)) return "tooLarge";
  const size = 2 + lengthBytes + (second >= 0x80 ? 4 : 0);
  if (there < size) return null;
  return { fin: first >= 0x80, opcode: first & 0x0f, bytes: size, length };
}

function longLength(bytes: Buffer, at: number, size: 2 | 8): number {
  if (size === 2) return bytes.readUInt16BE(at);
  const high = bytes.readUInt32BE(at);
  return high > 0x1f_ffff ? Number.POSITIVE_INFINITY : high * 2 ** 32 + bytes.readUInt32BE(at + 4);
}

/** Follows a stream of frames, in chunks cut anywhere. Costs a few comparisons for each frame, and no memory but a split header's. */
export class FrameTracker {
  readonly #order: FrameOrder;
  /** The start of a header of which the rest has not come. */
  #header: Buffer | null = null;
  /** Payload of the current frame that has not come. */
  #left = 0;
  #hasClosed = false;
  /** Passing a Close frame's payload. */
  #isClose = false;

  constructor(rules: FrameRules) {
    this.#order = new FrameOrder(rules);
  }

  /** Between two frames: here others may be put in. */
  get isBetweenFrames(): boolean {
    return this.#left === 0 && this.#header === null;
  }

  /** A whole Close frame has passed. */
  get hasClosed(): boolean {
    return this.#hasClosed;
  }

  /** How many bytes of this chunk, which comes next, belong to the frame under way. */
  leftOf(chunk: Buffer): number {
    if (this.#header === null) return Math.min(this.#left, chunk.length);
    const bytes = Buffer.concat([this.#header, chunk]);
    const header = headerAt(bytes, 0, this.#order);
    if (header === null || typeof header === "string") return chunk.length;
    return Math.min(header.bytes + header.length, bytes.length) - this.#header.length;
  }

  /**
   * @returns what is wrong with the frames up to the end of this chunk. Then the chunk has not passed: `isBetweenFrames` says where the
   * bytes before it end, and nothing may be given afterwards
   */
  push(chunk: Buffer): FrameFault | null {
    const [left, header] = [this.#left, this.#header];
    const fault = this.#follow(chunk);
    if (fault) [this.#left, this.#header] = [left, header];
    return fault;
  }

  #follow(chunk: Buffer): FrameFault | null {
    let bytes = chunk;
    let at = 0;
    if (this.#left > 0) at = this.#skip(0, bytes.length);
    else if (this.#header) {
      bytes = Buffer.concat([this.#header, chunk]);
      this.#header = null;
    }
    // What follows a Close frame says nothing.
    while (at < bytes.length && !this.#hasClosed) {
      const header = headerAt(bytes, at, this.#order);
      if (header === null) {
        this.#header = Buffer.from(bytes.subarray(at));
        return null;
      }
      if (typeof header === "string") return header;
      this.#order.next(header);
      this.#left = header.length;
      this.#isClose = header.opcode === OPCODE.close;
      at = this.#skip(at + header.bytes, bytes.length);
    }
    return null;
  }

  #skip(at: number, end: number): number {
    const passed = Math.min(this.#left, end - at);
    this.#left -= passed;
    if (this.#left === 0 && this.#isClose) this.#hasClosed = true;
    return at + passed;
  }
}

export type Frame = { fin: boolean; opcode: number; payload: Buffer };

/** Reads frames whole, their payloads unmasked: for the few bytes at the start of a connection. */
export class FrameReader {
  readonly #rules: FrameRules;
  readonly #order: FrameOrder;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(rules: FrameRules) {
    this.#rules = rules;
    this.#order = new FrameOrder(rules);
  }

  /** All frames so far are whole messages. */
  get isBetweenMessages(): boolean {
    return !this.#order.isWithinMessage;
  }

  /** What has come behind the frames that were read. */
  get rest(): Buffer {
    return this.#bytes;
  }

  push(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
  }

  /** The next frame; null where it is not there whole. */
  next(): Frame | FrameFault | null {
    const bytes = this.#bytes;
    const header = headerAt(bytes, 0, this.#order);
    if (header === null || typeof header === "string") return header;
    const end = header.bytes + header.length;
    if (bytes.length < end) return null;
    this.#order.next(header);
    this.#bytes = bytes.subarray(end);
    const payload = Buffer.from(bytes.subarray(header.bytes, end));
    if (this.#rules.masked) mask(payload, bytes.subarray(header.bytes - 4, header.bytes));
    return { fin: header.fin, opcode: header.opcode, payload };
  }
}

function mask(payload: Buffer, key: Buffer): void {
  for (let i = 0; i < payload.length; i++) payload[i] = (payload[i] as number) ^ (key[i & 3] as number);
}

/** A whole frame. @param masked as a client's has to be */
export function formatFrame(opcode: number, payload: Buffer, masked: boolean): Buffer {
  const { length } = payload;
  const lengthBytes = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const size = 2 + lengthBytes + (masked ? 4 : 0);
  const frame = Buffer.allocUnsafe(size + length);
  frame[0] = 0x80 | opcode;
  frame[1] = (masked ? 0x80 : 0) | (lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127);
  if (lengthBytes === 2) frame.writeUInt16BE(length, 2);
  if (lengthBytes === 8) frame.writeBigUInt64BE(BigInt(length), 2);
  payload.copy(frame, size);
  if (masked) {
    const key = randomFillSync(frame.subarray(size - 4, size));
    mask(frame.subarray(size), key);
  }
  return frame;
}

/** @param reason at most 123 bytes of UTF-8 */
export function formatClose(code: number, reason: string, masked: boolean): Buffer {
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code);
  payload.write(reason, 2);
  return formatFrame(OPCODE.close, payload, masked);
}
