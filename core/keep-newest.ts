/**
 * Puts an entry behind all others of a map that holds at most `most`: the oldest makes room. Returns the value that made room, if any.
 * To keep what was read last instead of what was written last, put an entry again when it is read.
 */
export function keepNewest<K, V>(kept: Map<K, V>, most: number, key: K, value: V): V | undefined {
  kept.delete(key);
  const [oldest, removed] = (kept.size >= most && kept.entries().next().value) || [];
  if (oldest !== undefined) kept.delete(oldest);
  kept.set(key, value);
  return removed;
}
