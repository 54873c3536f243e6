/**
 * One log being followed: what LOGS holds, then what comes, at the client's pace. Every message is sent only if the right still
 * stands *after* it was read, and the end is said with its reason.
 *
 *   open ──► sending ◄──► waiting for credit ──► ended (complete, revoked, stopped, silent client, stale graph, draining)
 */
import {
  type ConsumerMessages,
  DeliverPolicy,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
} from "@nats-io/jetstream";
import { headers as makeHeaders, type NatsConnection } from "@nats-io/nats-core";
import { CLOSE_CODES, type CloseName } from "../../core/close-codes.ts";
import type { Fault } from "../../core/errors.ts";
import { HEADER } from "../../core/wire/wire.ts";
import { deferred } from "../../runtime/deferred.ts";
import { ephemeralConsumer } from "../../runtime/nats/ephemeral-consumer.ts";
import { MAX_WINDOW } from "./tail-request.ts";

const STREAM = "LOGS";
const EXPIRES_MS = 30_000;
const HEARTBEAT_MS = 5_000;
const INACTIVE_MS = 60_000;

export type TailParts = {
  app: NatsConnection;
  js: JetStreamClient;
  jsm: JetStreamManager;
  /** Where the answers go: a subject inside the session's inbox. */
  reply: string;
  subject: string;
  from: number | "start" | { last: number };
  credit: number;
  refusal: () => Fault | null;
};

export class ServedTail {
  readonly #parts: TailParts;
  #credit: number;
  #more = deferred<void>();
  #messages: ConsumerMessages | null = null;
  #ended: CloseName | null = null;
  /** UTC ms when the client last showed that it is there. */
  seen: number;

  constructor(parts: TailParts, now: number) {
    this.#parts = parts;
    this.#credit = parts.credit;
    this.seen = now;
  }

  /** `n` further messages may be sent; 0 only says that the client is still there. */
  addCredit(n: number, now: number): void {
    this.seen = now;
    this.#credit = Math.min(this.#credit + n, MAX_WINDOW);
    if (this.#credit > 0) this.#more.resolve();
  }

  get subject(): string {
    return this.#parts.subject;
  }

  get ended(): boolean {
    return this.#ended !== null;
  }

  /** Ends the tail and says why. */
  end(because: CloseName): void {
    if (this.#ended) return;
    this.#ended = because;
    const { app, reply } = this.#parts;
    const headers = makeHeaders();
    headers.set(HEADER.notice, because);
    if (!app.isClosed()) app.publish(reply, JSON.stringify(CLOSE_CODES[because]), { headers });
    this.#messages?.stop();
    this.#more.resolve();
  }

  /** Looks again whether the right still stands, and ends the tail where it does not. */
  recheck(): boolean {
    const refusal = this.#parts.refusal();
    if (refusal) this.end(closeNameOf(refusal));
    return refusal === null;
  }

  /** Resolves when the tail has ended. */
  async run(): Promise<void> {
    const { js, jsm, subject, from } = this.#parts;
    const { consumer, info } = await ephemeralConsumer({
      js,
      jsm,
      stream: STREAM,
      inactiveMs: INACTIVE_MS,
      reads: { deliver_policy: DeliverPolicy.All, filter_subject: subject },
    });
    let skip = typeof from === "object" ? Math.max(0, info.num_pending - from.last) : 0;
    try {
      while (!this.#ended) {
        if (this.#credit === 0) {
          this.#more = deferred();
          await this.#more.promise;
          continue;
        }
        this.#messages = await consumer.fetch({
          max_messages: this.#credit + skip,
          expires: EXPIRES_MS,
          idle_heartbeat: HEARTBEAT_MS,
        });
        for await (const message of this.#messages) {
          if (skip > 0) skip--;
          else this.#send(message);
          if (this.#ended) return;
        }
      }
    } finally {
      await consumer.delete().catch(() => false);
    }
  }

  #send(message: JsMsg): void {
    const { app, reply, from } = this.#parts;
    if (!this.recheck()) return;
    if (message.headers?.has(HEADER.logComplete)) return this.end("logComplete");
    const offset = Number(message.headers?.get(HEADER.logOffset) ?? Number.NaN);
    const behind = typeof from === "number" && Number.isFinite(offset) ? from - offset : 0;
    if (behind >= message.data.length && behind > 0) return;
    const data = behind > 0 ? message.data.subarray(behind) : message.data;
    const headers = makeHeaders();
    if (Number.isFinite(offset)) headers.set(HEADER.logOffset, String(offset + Math.max(0, behind)));
    headers.set("Nats-Sequence", String(message.seq));
    app.publish(reply, data, { headers });
    this.#credit = Math.max(0, this.#credit - 1);
  }
}

function closeNameOf(refusal: Fault): CloseName {
  if (refusal.code === "graph.stale") return "graphStale";
  return refusal.code === "token.expired" ? "tokenEnded" : "readRevoked";
}
