/**
 * One listener for live events: keeps its subscriptions equal to the granted patterns it is interested in.
 */
import { createSeen, type LiveEvent, readEvent } from "./live-event.ts";
import type { NatsLike, SubscriptionLike } from "./nats-like.ts";
import { difference, type Interest, interests, livePatterns } from "./patterns.ts";

export type EventsOptions = Interest & {
  /** Each event once, in the order received. */
  onEvent(event: LiveEvent): void;
  /** The patterns subscribed to have changed. */
  onPatterns?(patterns: string[]): void;
};

export type Events = {
  /** Resolves when the server has accepted the first subscriptions: no later event is missed. */
  readonly ready: Promise<void>;
  patterns(): string[];
  /** How many messages were no events: without the stream's headers, or without a readable body. */
  dropped(): number;
  stop(): void;
};

export type EventsDeps = {
  nc: NatsLike;
  /** `arvados.<c>.live.` */
  livePrefix: string;
  /** A subscription was refused although the grants list it. */
  onRefused(pattern: string): void;
};

export function listenToEvents(
  deps: EventsDeps,
  options: EventsOptions,
): Events & { apply(grants: readonly string[]): Promise<void> } {
  const { nc, livePrefix } = deps;
  const subscriptions = new Map<string, SubscriptionLike>();
  const seen = createSeen();
  let dropped = 0;
  let stopped = false;
  let markReady = () => {};
  const ready = new Promise<void>((resolve) => {
    markReady = resolve;
  });

  const subscribe = (pattern: string) => {
    const subscription = nc.subscribe(pattern, {
      callback(error, msg) {
        // A subscription that was ended may still call back with messages that were under way.
        if (stopped || subscriptions.get(pattern) !== subscription) return;
        if (error !== null) {
          subscriptions.delete(pattern);
          options.onPatterns?.([...subscriptions.keys()]);
          deps.onRefused(pattern);
          return;
        }
        const event = readEvent(msg);
        if (event === null) dropped += 1;
        else if (interests(event.subject.slice(livePrefix.length), options) && seen.firstTime(event.id)) {
          options.onEvent(event);
        }
      },
    });
    subscriptions.set(pattern, subscription);
  };

  return {
    ready,
    patterns: () => [...subscriptions.keys()],
    dropped: () => dropped,
    async apply(grants) {
      if (stopped) return;
      const { open, close } = difference(subscriptions.keys(), livePatterns(grants, livePrefix, options));
      for (const pattern of close) {
        subscriptions.get(pattern)?.unsubscribe();
        subscriptions.delete(pattern);
      }
      for (const pattern of open) subscribe(pattern);
      if (open.length > 0 || close.length > 0) options.onPatterns?.([...subscriptions.keys()]);
      // The server answers in order: after this, refusals have arrived and all other subscriptions are active.
      await nc.flush();
      markReady();
    },
    stop() {
      stopped = true;
      if (!nc.isClosed()) for (const subscription of subscriptions.values()) subscription.unsubscribe();
      subscriptions.clear();
      markReady();
    },
  };
}
