type What = string | (() => string);

/**
 * Enough also on two slow processors and after a stall of seconds: a stall in which every lease expires, so that records wait for
 * the end of answered logins and for the bridge to repeat its mark, needs some fifteen seconds.
 */
export const PATIENCE_MS = 30_000;

/** Resolves with the first truthy value of `look`; rejects, naming what was awaited, after `ms`. */
export async function until<T>(look: () => T | Promise<T>, what: What, ms = PATIENCE_MS): Promise<NonNullable<T>> {
  const end = performance.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found as NonNullable<T>;
    if (performance.now() > end) throw inVain(what, ms);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The same for a promise that may never settle; its work is not stopped. */
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
