import { timingSafeEqual } from "node:crypto";

/** Compares secrets, or their hashes, in a time that does not tell where they differ. */
export function equalTexts(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}
