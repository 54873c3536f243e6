/**
 * How long to wait between attempts to reconnect. The libraries' own answer is a constant, which is too long after a
 * cut that is meant (a KICK wants the session back at once) and too short for thousands of sessions in an outage.
 */
const SHORTEST_MS = 100;
const LONGEST_MS = 10_000;
/** Held for longer, a connection was one; shorter, it counts as another failure. */
const CALM_MS = 1_000;

/** A `reconnectDelayHandler` that can be told what it cannot see by itself. */
export type ReconnectDelay = {
  (): number;
  /** A login was accepted: where it holds for a second, the outage is over. */
  connected(): void;
  /** The connection is about to be ended on purpose, to sign in again: no failure. */
  renewing(): void;
};

/**
 * Attempts come about 100, 200, 400... ms after an outage began, each session with a rhythm of its own. The libraries ask more
 * than once per attempt, and without saying how many there were: so the answer depends on the time alone. A connection that held for a second
 * ends the outage; one cut at once does not.
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

/** The one that a connection was made with; null where that is another one, or the library does not show it. */
export function reconnectDelayOf(nc: object): ReconnectDelay | null {
  const { options } = nc as { options?: { reconnectDelayHandler?: Partial<ReconnectDelay> } };
  const handler = options?.reconnectDelayHandler;
  const isOurs = typeof handler?.connected === "function" && typeof handler.renewing === "function";
  return isOurs ? (handler as ReconnectDelay) : null;
}
