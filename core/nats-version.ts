/** Which versions of nats-server are new enough. Pure. */

/** The first good release of each line that has bad ones, oldest first; what is newer than the last one is good. */
const FLOORS = ["2.14.6", "2.15.2"] as const;

/** As sentences name them: `{floor} or newer`, and for this one line `or newer` than that. */
export const [NATS_FLOOR] = FLOORS;

/** From here on PING before CONNECT is no way around the auth callout. */
const NO_BYPASS = "2.14.4";

/** A pre-release counts as older than its release. */
export function isNewEnough(version: string): boolean {
  const line = partsOf(version).slice(0, 2).join(".");
  const floor = FLOORS.find((one) => one.startsWith(`${line}.`)) ?? FLOORS.find((one) => !isAtLeast(version, one));
  return floor === undefined || isAtLeast(version, floor);
}

/** What a version that is not new enough does wrong: completes "older ones …". */
export function versionDefects(version: string): string {
  // Issues 8456 and 8475 of nats-server.
  const loss = "can lose acknowledged messages when a stream is compacted";
  return isAtLeast(version, NO_BYPASS) ? loss : `let a client skip the auth callout, and ${loss}`;
}

function isAtLeast(version: string, floor: string): boolean {
  const have = partsOf(version);
  const need = floor.split(".").map(Number);
  for (const [place, least] of need.entries()) {
    const part = have[place] ?? 0;
    if (part !== least) return part > least;
  }
  return !version.includes("-");
}

function partsOf(version: string): number[] {
  return (version.split("-")[0] ?? "").split(".").map(Number);
}
