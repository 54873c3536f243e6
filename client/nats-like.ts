/**
 * The part of a NATS connection that the client uses: `nats` 2.29, `nats.ws` 1.30 and `@nats-io/nats-core` 3.4 all
 * fit (test/client/nats-like.test.ts holds the compiler to it). Their differences that matter here:
 * status events are named alike except for a forced reconnect, errors have other classes but the same `message`,
 * and a header is absent as `""` from `get` in all of them.
 */

export type HeadersLike = {
  /** `""` when absent. */
  get(name: string): string;
  has(name: string): boolean;
  /** The server's status line, e.g. 503 for "no responders"; 0 without one. */
  readonly code: number;
};

export type MsgLike = {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers?: HeadersLike | undefined;
};

export type SubscriptionLike = {
  unsubscribe(): void;
};

export type StatusLike = { readonly type: string };

export type NatsLike = {
  publish(subject: string, payload?: Uint8Array, options?: { reply: string }): void;
  request(subject: string, payload?: Uint8Array, options?: { timeout: number }): Promise<MsgLike>;
  subscribe(subject: string, options: { callback(error: Error | null, msg: MsgLike): void }): SubscriptionLike;
  status(): AsyncIterable<StatusLike>;
  /** Resolves at once; the new connection shows as a `reconnect` status. Does nothing while there is no connection. */
  reconnect(): Promise<void>;
  flush(): Promise<void>;
  close(): Promise<void>;
  closed(): Promise<unknown>;
  isClosed(): boolean;
};

/** A header's text, or null where it is absent. */
export function header(msg: MsgLike, name: string): string | null {
  return msg.headers?.has(name) ? msg.headers.get(name) : null;
}
