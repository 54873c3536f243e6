/**
 * Whether there is a connection now. Without one the libraries drop what is published, without an error, and answers that were under way
 * are lost with the old connection: so the client waits for `up`.
 */
import type { NatsLike } from "./nats-like.ts";

export type LinkState = "up" | "down" | "closed";

export type Link = {
  state(): LinkState;
  /** Calls back at once with the current state, then at each change; every reconnect shows as `down`, then `up`. */
  watch(callback: (state: LinkState) => void): () => void;
  stop(): void;
};

export function watchLink(nc: NatsLike): Link {
  const watchers = new Set<(state: LinkState) => void>();
  const statuses = nc.status();
  let state: LinkState = nc.isClosed() ? "closed" : "up";
  let stopped = false;

  const become = (next: LinkState) => {
    if (stopped || state === "closed") return;
    // A `reconnect` without a `disconnect` before it still means a new connection.
    const steps: LinkState[] = next === "up" && state === "up" ? ["down", "up"] : [next];
    for (const step of steps) {
      if (step === state) continue;
      state = step;
      for (const watcher of [...watchers]) watcher(step);
    }
  };

  void (async () => {
    for await (const status of statuses) {
      if (stopped) return;
      if (status.type === "disconnect") become("down");
      if (status.type === "reconnect") become("up");
    }
  })();
  void nc.closed().then(() => become("closed"));

  return {
    state: () => state,
    watch(callback) {
      watchers.add(callback);
      callback(state);
      return () => watchers.delete(callback);
    },
    stop() {
      stopped = true;
      watchers.clear();
      // All three libraries' iterators have `stop`, though the types of `status()` do not say so.
      if ("stop" in statuses && typeof statuses.stop === "function") statuses.stop();
    },
  };
}
