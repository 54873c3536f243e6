/**
 * From grants to subscriptions. Pure: which of the granted patterns to subscribe to, narrowed as far as NATS subjects
 * can express it, and the test for what they cannot.
 */
import { RESYNC_ROUTE } from "../core/subjects.ts";
import type { Resource } from "../core/uuid.ts";

/**
 * `resource`: only events about that kind of object.
 * `under`: only what lies under an owner, given as one uuid, or as its whole owner path `<user>.<project>.<subproject>`
 * (then the server filters too). The owner's own record is included.
 */
export type Interest = { resource?: Resource | undefined; under?: string | undefined };

/** The `live` patterns among the grants, narrowed to the interest, without duplicates, in order. */
export function livePatterns(grants: readonly string[], livePrefix: string, interest: Interest): string[] {
  const wanted = new Set<string>();
  for (const grant of grants) {
    if (!grant.startsWith(livePrefix)) continue;
    const tail = grant.slice(livePrefix.length);
    // Not an event, but the service's word that some were lost.
    if (tail === RESYNC_ROUTE) continue;
    const narrowed = narrow(tail, interest);
    if (narrowed !== null) wanted.add(livePrefix + narrowed);
  }
  return [...wanted];
}

function narrow(tail: string, { resource, under }: Interest): string | null {
  const open = tail === ">" || tail.endsWith(".>");
  if (!open) {
    const tokens = tail.split(".");
    if (resource !== undefined && tokens.at(-1) !== resource && tokens.at(-1) !== "*") return null;
    if (under !== undefined && !tokens.includes("*") && !isUnder(tokens, under)) return null;
    return tail;
  }
  // Audience copies (`@role.<role>.<path>`) hold the path further on: the server cannot narrow those by path.
  if (under?.includes(".") && !tail.startsWith("@")) {
    const path = `${under}.>`;
    if (covers(tail, path)) return path;
    return covers(path, tail) ? tail : null;
  }
  return tail;
}

/** Whether pattern `wide` (ending in `>`) matches all that `narrow` matches. */
function covers(wide: string, narrow: string): boolean {
  const have = narrow.split(".");
  const want = wide.split(".").slice(0, -1);
  return have.length > want.length && want.every((token, i) => token === "*" || token === have[i]);
}

/** Whether an event's subject (what follows `live.`) is of interest: `>` lets more through than was asked for. */
export function interests(tail: string, { resource, under }: Interest): boolean {
  const tokens = tail.split(".");
  if (resource !== undefined && tokens.at(-1) !== resource) return false;
  return under === undefined || isUnder(tokens, under);
}

function isUnder(tokens: readonly string[], under: string): boolean {
  const path = under.split(".");
  return tokens.some((_, start) => path.every((token, i) => tokens[start + i] === token));
}

/** What to open and what to close to get from one set of patterns to another. */
export function difference(now: Iterable<string>, wanted: readonly string[]): { open: string[]; close: string[] } {
  const current = new Set(now);
  const goal = new Set(wanted);
  return { open: wanted.filter((p) => !current.has(p)), close: [...current].filter((p) => !goal.has(p)) };
}
