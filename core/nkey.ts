/**
 * NATS keys as bytes: base32 text with a prefix byte and a CRC-16. Signing itself is node:crypto's:
 * the JavaScript signer of the nkeys package manages 130 signatures a second, the native one 18,000 (docs/nats-facts.md 1.5).
 */
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { decodeBase32, encodeBase32 } from "./base32.ts";

const PREFIX = { seed: 18 << 3, account: 0, server: 13 << 3, user: 20 << 3, curve: 23 << 3 } as const;
export type KeyType = Exclude<keyof typeof PREFIX, "seed">;

/** The PKCS #8 head of a raw Ed25519 key, and the SPKI head of a public one. */
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");
const SPKI_HEAD = Buffer.from("302a300506032b6570032100", "hex");

/** The 32 key bytes of a public nkey of that type; throws a plain error otherwise. */
export function publicKeyBytes(type: KeyType, text: string): Buffer {
  const bytes = decode(text);
  if (bytes.length !== 33 || bytes[0] !== PREFIX[type]) throw new Error(`not a ${type} public key`);
  return bytes.subarray(1);
}

/** The 32 seed bytes of an nkey seed of that type. */
export function seedBytes(type: KeyType, text: string): Buffer {
  const bytes = decode(text);
  const first = bytes[0] ?? 0;
  const second = bytes[1] ?? 0;
  const keyType = ((first & 7) << 5) | ((second & 248) >> 3);
  if (bytes.length !== 34 || (first & 248) !== PREFIX.seed || keyType !== PREFIX[type]) {
    throw new Error(`not a ${type} seed`);
  }
  return bytes.subarray(2);
}

/** The seeds of a setting: one, or two while keys are being changed, the new one first. */
export function seedsIn(setting: string): [string, ...string[]] {
  const [first = "", ...others] = setting.trim().split(/\s+/);
  return [first, ...others];
}

/** The text form of a public key. */
export function publicKeyText(type: KeyType, key: Uint8Array): string {
  const body = Buffer.concat([Buffer.from([PREFIX[type]]), key]);
  const crc = crc16(body);
  return encodeBase32(Buffer.concat([body, Buffer.from([crc & 0xff, crc >> 8])]));
}

export function signingKey(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: "der", type: "pkcs8" });
}

export function verifyingKey(bytes: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI_HEAD, bytes]), format: "der", type: "spki" });
}

/** Bytes without the checksum, which is verified. */
function decode(text: string): Buffer {
  const bytes = Buffer.from(decodeBase32(text));
  const body = bytes.subarray(0, -2);
  const crc = (bytes.at(-2) ?? 0) | ((bytes.at(-1) ?? 0) << 8);
  if (bytes.length < 3 || crc16(body) !== crc) throw new Error("wrong checksum");
  return body;
}

/** CRC-16/XMODEM. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  return crc;
}
