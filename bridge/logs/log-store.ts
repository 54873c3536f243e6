/** Reads the last message of a log file in LOGS, and appends the next one. */
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

  /** Asks the stream's leader, because a stream replica may lag. */
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

  /** Returns the message's sequence. @throws where LOGS does not answer, or its last message on the subject is not the one that `follows` names */
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
