/**
 * Sealed messages between nats-server and the callout: `xkv1`, a 24-byte nonce, and a NaCl box (libsodium). The key shared with a server
 * is computed once and cached.
 */
import { randomFillSync } from "node:crypto";
import sodium from "sodium-native";
import nacl from "tweetnacl";
import { keepNewest } from "../../core/keep-newest.ts";
import { publicKeyBytes, seedBytes } from "../../core/nkey.ts";

const PREFIX = Buffer.from("xkv1");
const NONCE = sodium.crypto_secretbox_NONCEBYTES;
const MAC = sodium.crypto_secretbox_MACBYTES;
/** nats-server creates a curve key at each start, so only a few are in use. */
const KEPT_KEYS = 64;

export type Sealer = {
  /** Null if the message is not sealed for this key by the holder of `sender`. */
  open(message: Uint8Array, sender: string): Buffer | null;
  seal(message: Uint8Array, receiver: string): Buffer;
};

/** @param seed our curve seed, `SX...` */
export function createSealer(seed: string): Sealer {
  const secret = seedBytes("curve", seed);
  const shared = new Map<string, Buffer>();

  const sharedKey = (peer: string): Buffer => {
    const known = shared.get(peer);
    if (known) return known;
    const key = Buffer.from(nacl.box.before(publicKeyBytes("curve", peer), secret));
    keepNewest(shared, KEPT_KEYS, peer, key);
    return key;
  };

  return {
    open(message, sender) {
      const sealed = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
      if (sealed.length < PREFIX.length + NONCE + MAC || !sealed.subarray(0, PREFIX.length).equals(PREFIX)) return null;
      const nonce = sealed.subarray(PREFIX.length, PREFIX.length + NONCE);
      const box = sealed.subarray(PREFIX.length + NONCE);
      const plain = Buffer.allocUnsafe(box.length - MAC);
      try {
        return sodium.crypto_secretbox_open_easy(plain, box, nonce, sharedKey(sender)) ? plain : null;
      } catch {
        // The sender's header is not a curve key.
        return null;
      }
    },
    seal(message, receiver) {
      const sealed = Buffer.allocUnsafe(PREFIX.length + NONCE + MAC + message.length);
      PREFIX.copy(sealed);
      const nonce = sealed.subarray(PREFIX.length, PREFIX.length + NONCE);
      randomFillSync(nonce);
      const plain = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
      sodium.crypto_secretbox_easy(sealed.subarray(PREFIX.length + NONCE), plain, nonce, sharedKey(receiver));
      return sealed;
    },
  };
}
