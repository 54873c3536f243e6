type What = string | (() => string);

/** Resolves with the first truthy value of `look`; rejects, naming what was awaited, after `ms`. */
export async function until<T>(look: () => T | Promise<T>, what: What, ms = 5_000): Promise<NonNullable<T>> {
  const end = performance.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found as NonNullable<T>;
    if (performance.now() > end) throw inVain(what, ms);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The same for something that may never settle, which goes on when nobody waits any more. */
export async function within<T>(work: Promise<T>, what: What, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(inVain(what, ms)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function inVain(what: What, ms: number): Error {
  return new Error(`waited ${ms} ms in vain for ${typeof what === "string" ? what : what()}`);
}
