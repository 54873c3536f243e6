/** LOGS as the log follower sees it: the last message of a file, and the next one behind it. */
import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
import { headers as makeHeaders } from "@nats-io/nats-core";
import { type LogMessage, placeAfter, type StoredLog } from "../../core/logs/log-copy.ts";
import { HEADER } from "../../core/wire/wire.ts";

const STREAM = "LOGS";
const ACK_TIMEOUT_MS = 5_000;

export class LogStore {
  readonly #js: JetStreamClient;
  readonly #jsm: JetStreamManager;

  constructor(js: JetStreamClient, jsm: JetStreamManager) {
    this.#js = js;
    this.#jsm = jsm;
  }

  /** By the stream's leader: a replica may lag. */
  async last(subject: string): Promise<StoredLog> {
    const message = await this.#jsm.streams.getMessage(STREAM, { last_by_subj: subject });
    if (message === null) return null;
    const number = (name: string) => (message.header.has(name) ? Number(message.header.get(name)) : Number.NaN);
    const offset = number(HEADER.logOffset);
    const base = number(HEADER.logBase);
    const isOurs = Number.isSafeInteger(offset) && Number.isSafeInteger(base) && base >= 0 && base <= offset;
    if (!isOurs) return "foreign";
    const place = placeAfter({ sequence: message.seq, offset, base, data: message.data });
    return { ...place, complete: message.header.has(HEADER.logComplete) };
  }

  /** The message's sequence. @throws where LOGS has another last message on the subject than the one it follows, or does not answer */
  async put(subject: string, { offset, base, data, complete, follows }: LogMessage): Promise<number> {
    const headers = makeHeaders();
    headers.set(HEADER.logOffset, String(offset));
    headers.set(HEADER.logBase, String(base));
    if (complete) headers.set(HEADER.logComplete, "true");
    const expect = { lastSubjectSequence: follows };
    const { seq } = await this.#js.publish(subject, data, { headers, expect, timeout: ACK_TIMEOUT_MS });
    return seq;
  }
}
