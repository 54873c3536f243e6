/** Resolves with the first truthy value of `look`; rejects, naming what was awaited, after `ms`. */
export async function until<T>(look: () => T | Promise<T>, what: string, ms = 5_000): Promise<NonNullable<T>> {
  const end = performance.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found as NonNullable<T>;
    if (performance.now() > end) throw new Error(`waited ${ms} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
