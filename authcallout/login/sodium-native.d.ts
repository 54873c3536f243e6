/** The part of sodium-native that is used here; the package brings no types. */
declare module "sodium-native" {
  const sodium: {
    crypto_secretbox_NONCEBYTES: number;
    crypto_secretbox_MACBYTES: number;
    crypto_secretbox_easy(box: Buffer, plain: Buffer, nonce: Buffer, key: Buffer): void;
    crypto_secretbox_open_easy(plain: Buffer, box: Buffer, nonce: Buffer, key: Buffer): boolean;
    crypto_sign_PUBLICKEYBYTES: number;
    crypto_sign_SECRETKEYBYTES: number;
    crypto_sign_BYTES: number;
    crypto_sign_seed_keypair(publicKey: Buffer, secretKey: Buffer, seed: Buffer): void;
    crypto_sign_detached(signature: Buffer, message: Buffer, secretKey: Buffer): void;
    crypto_sign_verify_detached(signature: Buffer, message: Buffer, publicKey: Buffer): boolean;
  };
  export default sodium;
}
