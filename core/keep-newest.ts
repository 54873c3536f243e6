/** Puts an entry behind all others of a map that holds so many at most: the oldest makes room. */
export function keepNewest<K, V>(kept: Map<K, V>, most: number, key: K, value: V): void {
  kept.delete(key);
  if (kept.size >= most) kept.delete(kept.keys().next().value as K);
  kept.set(key, value);
}
