/**
 * How long to wait between attempts to reconnect. The libraries use a constant, which is too long after a kick (the session should be
 * back at once) and too short for thousands of sessions in an outage.
 */
const SHORTEST_MS = 100;
const LONGEST_MS = 10_000;
/** A connection that lasted less than this counts as a failed attempt. */
const CALM_MS = 1_000;

/** A `reconnectDelayHandler` that is also notified of what it cannot see itself. */
export type ReconnectDelay = {
  (): number;
  /** A login was accepted: if the connection lasts for a second, the outage is over. */
  connected(): void;
  /** The client ends the connection to log in again: no failure. */
  renewing(): void;
};

/**
 * Attempts are made about 100, 200, 400... ms after an outage began, each session at its own pace. The libraries call this more than once
 * for an attempt and do not pass its number, so the result depends on the time only. A connection that lasted for a second ends the
 * outage; one that was cut at once does not.
 */
export function reconnectDelay(now: () => number = Date.now, random: () => number = Math.random): ReconnectDelay {
  let began = Number.NEGATIVE_INFINITY;
  let asked = Number.NEGATIVE_INFINITY;
  let connectedAt = Number.POSITIVE_INFINITY;
  let wait = 0;
  let pace = 1;
  const delay = () => {
    const time = now();
    if (time - asked > wait + CALM_MS || time - connectedAt >= CALM_MS) {
      began = time;
      pace = 1 + random() / 2;
    }
    asked = time;
    connectedAt = Number.POSITIVE_INFINITY;
    wait = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, Math.ceil((time - began) / 2))) * pace;
    return wait;
  };
  return Object.assign(delay, {
    connected() {
      connectedAt = now();
    },
    renewing() {
      connectedAt = Number.NEGATIVE_INFINITY;
    },
  });
}

/** The handler that a connection was created with; null if it is another one, or the library does not show it. */
export function reconnectDelayOf(nc: object): ReconnectDelay | null {
  const { options } = nc as { options?: { reconnectDelayHandler?: Partial<ReconnectDelay> } };
  const handler = options?.reconnectDelayHandler;
  const isOurs = typeof handler?.connected === "function" && typeof handler.renewing === "function";
  return isOurs ? (handler as ReconnectDelay) : null;
}
