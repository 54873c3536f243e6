/** WebSocket frames as a peer may send them, most of them right, some wrong in one way, cut anywhere; and what the `ws` library says of them. */
import * as ws from "ws";
import { pick, type Random } from "../../dev/testing/random.ts";
import type { FrameFault, FrameRules } from "../../proxy/edge/frames.ts";

const LENGTHS = [0, 1, 2, 124, 125, 126, 127, 128, 200, 4_096, 65_535, 65_536];
const OPCODES = [0, 1, 2, 2, 2, 8, 9, 10];

/** One input: the chunks in which it comes. */
export function frameInput(random: Random, { masked, messageBytes }: FrameRules): Buffer[] {
  const frames: Buffer[] = [];
  let isWithin = false;
  for (let count = 1 + Math.floor(random() * 6); count > 0; count--) {
    const isRight = random() < 0.9;
    const opcode: number = isRight ? rightOpcode(random, isWithin) : Math.floor(random() * 16);
    const isControl: boolean = opcode >= 8;
    const fin: boolean = isRight && isControl ? true : random() < 0.6;
    const length = isRight && isControl ? Math.floor(random() * 126) : pick([...LENGTHS, messageBytes], random);
    if (!isControl) isWithin = !fin;
    frames.push(
      frame(random, { fin, opcode, length, masked: isRight ? masked : random() < 0.5, isHonest: random() < 0.97 }),
    );
  }
  const bytes = Buffer.concat(frames);
  if (random() < 0.1 && bytes.length > 0)
    bytes[Math.floor(random() * Math.min(bytes.length, 40))] = Math.floor(random() * 256);
  const end = random() < 0.3 ? Math.floor(random() * bytes.length) : bytes.length;
  return cut(random, bytes.subarray(0, end));
}

function rightOpcode(random: Random, isWithin: boolean): number {
  const opcode = pick(OPCODES, random);
  if (opcode >= 8) return opcode;
  return isWithin ? 0 : opcode === 0 ? 2 : opcode;
}

type Shape = { fin: boolean; opcode: number; length: number; masked: boolean; isHonest: boolean };

function frame(random: Random, { fin, opcode, length, masked, isHonest }: Shape): Buffer {
  const said = isHonest ? length : pick([0, 1, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 63], random);
  const head: number[] = [(fin ? 0x80 : 0) | opcode | (random() < 0.01 ? 0x40 : 0)];
  const size = said < 126 ? 0 : said < 65_536 && random() < 0.9 ? 2 : 8;
  head.push((masked ? 0x80 : 0) | (size === 0 ? said : size === 2 ? 126 : 127));
  for (let i = size - 1; i >= 0; i--) head.push(Number((BigInt(said) >> BigInt(8 * i)) & 0xffn));
  const key = masked ? [1, 2, 3, 4] : [];
  const payload = Buffer.alloc(length, 7);
  // A right close code.
  if (opcode === 8 && length >= 2) payload.set(masked ? [0x03 ^ 1, 0xe8 ^ 2] : [0x03, 0xe8]);
  return Buffer.concat([Buffer.from([...head, ...key]), payload]);
}

function cut(random: Random, bytes: Buffer): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = random() < 0.5 ? 1 + Math.floor(random() * 9) : 1 + Math.floor(random() * 70_000);
    // A copy: the library unmasks in place.
    chunks.push(Buffer.from(bytes.subarray(at, at + length)));
    at += length;
  }
  return chunks;
}

const TOO_LARGE = ["WS_ERR_UNSUPPORTED_MESSAGE_LENGTH", "WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH"];

/** `closeCode`: about the payload of a Close frame, which the edge does not read. */
export type Reference = { push(chunk: Buffer): FrameFault | "closeCode" | null; readonly isBetweenFrames: boolean };

/** The library's own receiver, which decodes every frame. */
export function referenceReceiver({ masked, messageBytes }: FrameRules): Reference {
  const options = { isServer: masked, maxPayload: messageBytes, skipUTF8Validation: true };
  const receiver = new (ws as unknown as { Receiver: new (options: object) => ReceiverInside }).Receiver(options);
  return {
    push(chunk) {
      let fault: FrameFault | "closeCode" | null = null;
      receiver._write(chunk, "buffer", (error) => {
        // An error here is one of the input, named by its code.
        if (error?.code === "WS_ERR_INVALID_CLOSE_CODE") fault = "closeCode";
        else if (error) fault = TOO_LARGE.includes(error.code ?? "") ? "tooLarge" : "protocol";
      });
      return fault;
    },
    get isBetweenFrames() {
      return receiver._state === 0 && receiver._bufferedBytes === 0;
    },
  };
}

type ReceiverInside = {
  _state: number;
  _bufferedBytes: number;
  _write(chunk: Buffer, encoding: string, done: (error?: NodeJS.ErrnoException) => void): void;
};
