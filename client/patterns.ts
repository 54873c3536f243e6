/**
 * From grants to subscriptions. Pure: which of the granted patterns to subscribe to, narrowed as far as NATS subjects can express, and
 * the test for the rest.
 */
import { RESYNC_ROUTE } from "../core/subjects.ts";
import type { Resource } from "../core/uuid.ts";

/**
 * `resource`: only events about that kind of object.
 * `under`: only objects under an owner, given as one uuid, or as its whole owner path `<user>.<project>.<subproject>`
 * (then the server filters too). The owner's own record is included.
 */
export type Interest = { resource?: Resource | undefined; under?: string | undefined };

/** The `live` patterns among the grants, narrowed to the interest, without duplicates, in order. */
export function livePatterns(grants: readonly string[], livePrefix: string, interest: Interest): string[] {
  const wanted = new Set<string>();
  for (const grant of grants) {
    if (!grant.startsWith(livePrefix)) continue;
    const pattern = grant.slice(livePrefix.length);
    // No event: the service's message that events were lost.
    if (pattern === RESYNC_ROUTE) continue;
    const narrowed = narrow(pattern, interest);
    if (narrowed !== null) wanted.add(livePrefix + narrowed);
  }
  return [...wanted];
}

function narrow(pattern: string, { resource, under }: Interest): string | null {
  const open = pattern === ">" || pattern.endsWith(".>");
  if (!open) {
    const tokens = pattern.split(".");
    if (resource !== undefined && tokens.at(-1) !== resource && tokens.at(-1) !== "*") return null;
    if (under !== undefined && !tokens.includes("*") && !isUnder(tokens, under)) return null;
    return pattern;
  }
  // The routes of audiences (`@role.<role>.<path>`) have the path later: the server cannot narrow those by path.
  if (under?.includes(".") && !pattern.startsWith("@")) {
    const path = `${under}.>`;
    if (covers(pattern, path)) return path;
    return covers(path, pattern) ? pattern : null;
  }
  return pattern;
}

/** Whether pattern `wide` (ending in `>`) matches all that `narrow` matches. */
function covers(wide: string, narrow: string): boolean {
  const have = narrow.split(".");
  const want = wide.split(".").slice(0, -1);
  return have.length > want.length && want.every((token, i) => token === "*" || token === have[i]);
}

/** Is an event of interest, by its route? A pattern with `>` also matches events that were not asked for. */
export function interests(route: string, { resource, under }: Interest): boolean {
  const tokens = route.split(".");
  if (resource !== undefined && tokens.at(-1) !== resource) return false;
  return under === undefined || isUnder(tokens, under);
}

function isUnder(tokens: readonly string[], under: string): boolean {
  const path = under.split(".");
  return tokens.some((_, start) => path.every((token, i) => tokens[start + i] === token));
}

/** Which patterns to subscribe and which to unsubscribe to get from one set to another. */
export function difference(now: Iterable<string>, wanted: readonly string[]): { open: string[]; close: string[] } {
  const current = new Set(now);
  const goal = new Set(wanted);
  return { open: wanted.filter((p) => !current.has(p)), close: [...current].filter((p) => !goal.has(p)) };
}
