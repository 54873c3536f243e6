/** The client's public list. */
export { GatewayError } from "./ask.ts";
export { type Client, type ClientOptions, type ClientStatus, createClient } from "./client.ts";
export type { Events, EventsOptions } from "./events.ts";
export { type ConnectOptions, connectOptions, sessionId, sessionKey, sessionToken } from "./identity.ts";
export type { LiveEvent } from "./live-event.ts";
export type { NatsLike } from "./nats-like.ts";
export type { Interest } from "./patterns.ts";
export type { Tail, TailOptions } from "./tail.ts";
export type { TailEnd, TailFrom } from "./tail-state.ts";
