/** The part of sodium-native that is used here; the package brings no types. */
declare module "sodium-native" {
  const sodium: {
    crypto_secretbox_NONCEBYTES: number;
    crypto_secretbox_MACBYTES: number;
    crypto_secretbox_easy(box: Buffer, plain: Buffer, nonce: Buffer, key: Buffer): void;
    crypto_secretbox_open_easy(plain: Buffer, box: Buffer, nonce: Buffer, key: Buffer): boolean;
  };
  export default sodium;
}
