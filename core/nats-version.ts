/** Which nats-server is new enough. Pure. */

/** Older ones let a client that sends PING before CONNECT skip the auth callout. */
export const NATS_FLOOR = "2.14.4";

/** A pre-release counts as older than its release. */
export function isNewEnough(version: string, floor: string = NATS_FLOOR): boolean {
  const [release = "", preRelease] = version.split(/-(.*)/s);
  const have = release.split(".").map(Number);
  const need = floor.split(".").map(Number);
  for (const [place, least] of need.entries()) {
    const part = have[place] ?? 0;
    if (part !== least) return part > least;
  }
  return preRelease === undefined;
}
