/**
 * Sealed messages between nats-server and the callout: `xkv1`, a 24-byte nonce, and a NaCl box. The shared key of a server is
 * computed once and kept; the rest is libsodium's.
 */
import { randomFillSync } from "node:crypto";
import sodium from "sodium-native";
import nacl from "tweetnacl";
import { keepNewest } from "../../core/keep-newest.ts";
import { publicKeyBytes, seedBytes } from "../../core/nkey.ts";

const MARK = Buffer.from("xkv1");
const NONCE = sodium.crypto_secretbox_NONCEBYTES;
const MAC = sodium.crypto_secretbox_MACBYTES;
/** nats-server makes a new curve key at each start, so a few are ever in use. */
const KEPT_KEYS = 64;

export type Sealer = {
  /** Null where the message is not sealed by the holder of `sender` for us. */
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
      if (sealed.length < MARK.length + NONCE + MAC || !sealed.subarray(0, MARK.length).equals(MARK)) return null;
      const nonce = sealed.subarray(MARK.length, MARK.length + NONCE);
      const box = sealed.subarray(MARK.length + NONCE);
      const plain = Buffer.allocUnsafe(box.length - MAC);
      try {
        return sodium.crypto_secretbox_open_easy(plain, box, nonce, sharedKey(sender)) ? plain : null;
      } catch {
        // Not a curve key: the sender's header is nothing we can seal with.
        return null;
      }
    },
    seal(message, receiver) {
      const sealed = Buffer.allocUnsafe(MARK.length + NONCE + MAC + message.length);
      MARK.copy(sealed);
      const nonce = sealed.subarray(MARK.length, MARK.length + NONCE);
      randomFillSync(nonce);
      const plain = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
      sodium.crypto_secretbox_easy(sealed.subarray(MARK.length + NONCE), plain, nonce, sharedKey(receiver));
      return sealed;
    },
  };
}
