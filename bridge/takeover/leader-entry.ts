/** The first message of a new leader in a stream. It fences out an older leader: what that one still sends is refused. */
import type { JetStreamManager } from "@nats-io/jetstream";
import { headers as makeHeaders, type NatsConnection } from "@nats-io/nats-core";
import { fault } from "../../core/errors.ts";

const WRONG_LAST_SEQUENCE = 10071;
const TRIES = 10;
const TIMEOUT_MS = 5_000;

export type StreamLeaderEntry = { stream: string; subject: string; body: string };

/** Appends the entry after sequence `expected`; false = the stream has grown meanwhile. */
async function appendLeaderEntry(nc: NatsConnection, entry: StreamLeaderEntry, expected: number): Promise<boolean> {
  const headers = makeHeaders();
  headers.set("Nats-Expected-Last-Sequence", String(expected));
  const answer = await nc.request(entry.subject, entry.body, { headers, timeout: TIMEOUT_MS });
  const { error } = answer.json<{ error?: { err_code?: number; description?: string } }>();
  if (!error) return true;
  if (error.err_code === WRONG_LAST_SEQUENCE) return false;
  throw fault("stream.refused", { stream: entry.stream, reason: error.description ?? "no reason given" });
}

/**
 * Reads the stream with `read` and appends the `entry` for what was read. Starts again while an older leader's messages still come in. Returns
 * what was read and the entry's sequence.
 */
export async function writeLeaderEntry<T>(
  nc: NatsConnection,
  jsm: JetStreamManager,
  stream: string,
  read: () => Promise<T>,
  entry: (read: T, sequence: number) => StreamLeaderEntry,
): Promise<{ read: T; sequence: number }> {
  for (let tries = 0; tries < TRIES; tries++) {
    const { state } = await jsm.streams.info(stream);
    const found = await read();
    const sequence = state.last_seq + 1;
    if (await appendLeaderEntry(nc, entry(found, sequence), state.last_seq)) return { read: found, sequence };
  }
  throw fault("stream.fenced", { stream, expected: 0 });
}
